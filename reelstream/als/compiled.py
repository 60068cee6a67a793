"""The machine code of the half-step.

In: arrays. Out: arrays filled in. Next: `kernel` calls it from its threads.
All in one file, since numba renews a cached function when its own file changes, not when that of a function it calls
does.
"""

from __future__ import annotations

import numpy as np

from reelstream.als.arrays import F32, F64, I32, I64
from reelstream.als.jit import jit

CHUNK = 256
"""Entries of a row that are gathered at once; a multiple of PAD."""
LIGHT = 16
"""Entries up to which a row is solved as fast as it is approached."""
PAD = 16
"""Vectors are padded with zeros to a multiple of this: the numbers in a vector register."""


@jit
def solve_rows(
    indptr: I64,
    indices: I32,
    weights: F32,
    targets: F32,
    regularization: F32,
    last_regularization: F32,
    vectors: F32,
    diagonal: F32,
    turn: F32,
    turn_back: F32,
    steps: int,
    out: F32,
    least: F64,
    start: int,
    stop: int,
) -> None:
    """Fills the rows of `out` with their solutions, and `least`. steps > 0: rows with more than LIGHT entries go so many
    steps from what `out` has."""
    n_factors, width = len(diagonal), vectors.shape[1]
    A = np.empty((width, width), np.float32)
    short = np.empty((width, width), np.float32)
    long = np.empty((width, CHUNK + PAD), np.float32)  # a power of two apart, rows would share few lines of the cache
    right = np.zeros(max(width, CHUNK), np.float32)
    work = np.empty((4, width), np.float32)
    D = np.ones(width, np.float32)
    x = np.zeros(width, np.float32)
    for row in range(start, stop):
        begin, end = indptr[row], indptr[row + 1]
        if begin == end:
            out[row] = 0
            continue
        for k in range(n_factors):
            D[k] = diagonal[k] + regularization[row]
        if len(turn_back) == 0:
            D[n_factors - 1] = diagonal[n_factors - 1] + last_regularization[row]
        if steps > 0 and end - begin > LIGHT:
            for k in range(n_factors):
                x[k] = out[row, k]
            if len(turn) > 0:
                right[:n_factors] = x[:n_factors]
                _turn(turn, right, x)
            least[row] = _approach(indices, weights, targets, vectors, begin, end, steps, D, work, x)
        elif end - begin < n_factors:
            least[row] = _solve_short(indices, weights, targets, vectors, begin, end, D, A, short, right, x)
        else:
            least[row] = _solve_long(indices, weights, targets, vectors, begin, end, D, A, long, right, x)
        if len(turn_back) == 0:
            for k in range(n_factors):
                out[row, k] = x[k]
        else:
            _turn(turn_back, x, out[row])


@jit
def _approach(
    indices: I32,
    weights: F32,
    targets: F32,
    vectors: F32,
    begin: int,
    end: int,
    steps: int,
    D: F32,
    work: F32,
    x: F32,
) -> float:
    """`steps` conjugate-gradient steps from x to the solution; returns what is left of the sum that it minimises.

    Preconditioned by the diagonal of the matrix. For ALS: Takács, Pilászy, Tikk, "Applications of the Conjugate Gradient
    Method for Implicit Feedback Collaborative Filtering", RecSys 2011. work: float32[4, Kp].
    """
    width = len(x)
    M, r, p, q = work[0], work[1], work[2], work[3]
    value = _residual(indices, weights, targets, vectors, begin, end, D, x, M, r)
    rz = np.float32(0)
    for k in range(width):
        p[k] = r[k] / M[k]
        rz += r[k] * p[k]
    enough = np.float32(1e-12) * rz
    for _ in range(steps):
        _multiply(indices, weights, vectors, begin, end, D, p, q)
        curvature = _dot(p, q, width)
        if not (rz > enough and curvature > 0):
            break
        step = rz / curvature
        value -= float(step * rz)
        before = rz
        rz = np.float32(0)
        for k in range(width):
            x[k] += step * p[k]
            r[k] -= step * q[k]
            rz += r[k] * r[k] / M[k]
        again = rz / before
        for k in range(width):
            p[k] = r[k] / M[k] + again * p[k]
    return value


@jit
def _residual(
    indices: I32, weights: F32, targets: F32, vectors: F32, begin: int, end: int, D: F32, x: F32, M: F32, r: F32
) -> float:
    """r = Vᵀ W (y - V x) - D x and M, the diagonal of Vᵀ W V + D; returns the sum that x is to minimise."""
    width = len(x)
    value = 0.0
    for k in range(width):
        M[k] = D[k]
        r[k] = -D[k] * x[k]
        value -= float(r[k] * x[k])
    for t in range(begin, end, 4):
        v0, v1, v2, v3 = _four(vectors, indices, t, end)
        s0 = s1 = s2 = s3 = np.float32(0)
        for k in range(width):
            s0 += v0[k] * x[k]
            s1 += v1[k] * x[k]
            s2 += v2[k] * x[k]
            s3 += v3[k] * x[k]
        w0, w1, w2, w3 = _four_weights(weights, t, end)
        e0, e1, e2, e3 = _four_weights(targets, t, end)
        e0, e1, e2, e3 = e0 - s0, e1 - s1, e2 - s2, e3 - s3
        c0, c1, c2, c3 = w0 * e0, w1 * e1, w2 * e2, w3 * e3
        value += float(c0 * e0 + c1 * e1 + c2 * e2 + c3 * e3)
        for k in range(width):
            r[k] += c0 * v0[k] + c1 * v1[k] + c2 * v2[k] + c3 * v3[k]
            M[k] += w0 * v0[k] * v0[k] + w1 * v1[k] * v1[k] + w2 * v2[k] * v2[k] + w3 * v3[k] * v3[k]
    return value


@jit
def _multiply(indices: I32, weights: F32, vectors: F32, begin: int, end: int, D: F32, p: F32, q: F32) -> None:
    """q = (Vᵀ W V + D) p."""
    width = len(p)
    for k in range(width):
        q[k] = D[k] * p[k]
    for t in range(begin, end, 4):
        v0, v1, v2, v3 = _four(vectors, indices, t, end)
        s0 = s1 = s2 = s3 = np.float32(0)
        for k in range(width):
            s0 += v0[k] * p[k]
            s1 += v1[k] * p[k]
            s2 += v2[k] * p[k]
            s3 += v3[k] * p[k]
        w0, w1, w2, w3 = _four_weights(weights, t, end)
        c0, c1, c2, c3 = w0 * s0, w1 * s1, w2 * s2, w3 * s3
        for k in range(width):
            q[k] += c0 * v0[k] + c1 * v1[k] + c2 * v2[k] + c3 * v3[k]


@jit
def _four(vectors: F32, indices: I32, t: int, end: int) -> tuple[F32, F32, F32, F32]:
    """The vectors of four entries from t on; past the end the last one again."""
    last = end - 1
    return (
        vectors[indices[t]],
        vectors[indices[min(t + 1, last)]],
        vectors[indices[min(t + 2, last)]],
        vectors[indices[min(t + 3, last)]],
    )


@jit
def _four_weights(weights: F32, t: int, end: int) -> tuple[np.float32, np.float32, np.float32, np.float32]:
    """The numbers of four entries from t on; past the end 0."""
    none = np.float32(0)
    return (
        weights[t],
        weights[t + 1] if t + 1 < end else none,
        weights[t + 2] if t + 2 < end else none,
        weights[t + 3] if t + 3 < end else none,
    )


@jit
def _solve_short(
    indices: I32,
    weights: F32,
    targets: F32,
    vectors: F32,
    begin: int,
    end: int,
    D: F32,
    A: F32,
    B: F32,
    right: F32,
    x: F32,
) -> float:
    """x of a row with n < K entries, from n equations. B holds √W V D^-½, float32[n, Kp].

    Returns the sum that x minimises: yᵀ√W (I + BBᵀ)⁻¹ √W y.
    """
    n, width = end - begin, vectors.shape[1]
    size = (n + 3) // 4 * 4
    for k in range(width):
        x[k] = 1 / np.sqrt(D[k])
    for t in range(n):
        v = vectors[indices[begin + t]]
        w = np.sqrt(weights[begin + t])
        right[t] = w * targets[begin + t]
        for k in range(width):
            B[t, k] = w * v[k] * x[k]
    B[n:size] = 0
    A[:size, :size] = 0
    _add_products(A, B, size, width)
    for i in range(n):
        A[i, i] += 1
    _cholesky(A, n)
    least = _substitute(A, right, n)
    D[:] = 0
    for t in range(n):
        c = right[t]
        for k in range(width):
            D[k] += c * B[t, k]
    for k in range(width):
        x[k] *= D[k]
        D[k] = 1
    return least


@jit
def _solve_long(
    indices: I32,
    weights: F32,
    targets: F32,
    vectors: F32,
    begin: int,
    end: int,
    D: F32,
    A: F32,
    B: F32,
    right: F32,
    x: F32,
) -> float:
    """x of a row with n ≥ K entries, from K equations. B holds Vᵀ √W, float32[Kp, CHUNK], one chunk at a time.

    Returns the sum that x minimises: yᵀWy - xᵀ Vᵀ W y.
    """
    width = vectors.shape[1]
    squares = 0.0
    A[:] = 0
    for k in range(width):
        x[k] = 0
        A[k, k] = D[k]
    for first in range(begin, end, CHUNK):
        n = min(CHUNK, end - first)
        for t in range(n):
            w = np.sqrt(weights[first + t])
            right[t] = w * targets[first + t]
            v = vectors[indices[first + t]]
            for k in range(width):
                B[k, t] = w * v[k]
        squares += float(_dot(right, right, n))
        size = (n + PAD - 1) // PAD * PAD
        right[n:size] = 0
        B[:, n:size] = 0
        for k in range(width):
            b = B[k]
            total = np.float32(0)
            for t in range(size):
                total += b[t] * right[t]
            x[k] += total
        _add_products(A, B, width, size)
    _cholesky(A, width)
    return squares - _substitute(A, x, width)


@jit
def _add_products(A: F32, B: F32, size: int, n: int) -> None:
    """A += BBᵀ of the first `size` rows (a multiple of 4) and n columns of B; only A's lower triangle counts.

    Sixteen sums at once stay in registers: each is a sum over contiguous numbers, which compiles to vector
    instructions.
    """
    for i in range(0, size, 4):
        b0, b1, b2, b3 = B[i], B[i + 1], B[i + 2], B[i + 3]
        for j in range(0, i + 1, 4):
            c0, c1, c2, c3 = B[j], B[j + 1], B[j + 2], B[j + 3]
            s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = np.float32(0)
            s20 = s21 = s22 = s23 = s30 = s31 = s32 = s33 = np.float32(0)
            for t in range(n):
                x0, x1, x2, x3 = b0[t], b1[t], b2[t], b3[t]
                y0, y1, y2, y3 = c0[t], c1[t], c2[t], c3[t]
                s00 += x0 * y0
                s01 += x0 * y1
                s02 += x0 * y2
                s03 += x0 * y3
                s10 += x1 * y0
                s11 += x1 * y1
                s12 += x1 * y2
                s13 += x1 * y3
                s20 += x2 * y0
                s21 += x2 * y1
                s22 += x2 * y2
                s23 += x2 * y3
                s30 += x3 * y0
                s31 += x3 * y1
                s32 += x3 * y2
                s33 += x3 * y3
            _add_four(A[i], j, s00, s01, s02, s03)
            _add_four(A[i + 1], j, s10, s11, s12, s13)
            _add_four(A[i + 2], j, s20, s21, s22, s23)
            _add_four(A[i + 3], j, s30, s31, s32, s33)


@jit
def _add_four(a: F32, j: int, s0: np.float32, s1: np.float32, s2: np.float32, s3: np.float32) -> None:
    a[j] += s0
    a[j + 1] += s1
    a[j + 2] += s2
    a[j + 3] += s3


@jit
def _cholesky(A: F32, n: int) -> None:
    """A = LLᵀ in place, in the lower triangle. Row by row, four rows at once against the rows above them."""
    for i in range(0, n, 4):
        rows = min(4, n - i)
        if rows == 4:
            a0, a1, a2, a3 = A[i], A[i + 1], A[i + 2], A[i + 3]
            for j in range(i):
                b = A[j]
                s0 = s1 = s2 = s3 = np.float32(0)
                for t in range(j):
                    s0 += a0[t] * b[t]
                    s1 += a1[t] * b[t]
                    s2 += a2[t] * b[t]
                    s3 += a3[t] * b[t]
                scale = 1 / b[j]
                a0[j] = (a0[j] - s0) * scale
                a1[j] = (a1[j] - s1) * scale
                a2[j] = (a2[j] - s2) * scale
                a3[j] = (a3[j] - s3) * scale
        for r in range(i, i + rows):
            a = A[r]
            for j in range(i if rows == 4 else 0, r):
                a[j] = (a[j] - _dot(a, A[j], j)) / A[j, j]
            a[r] = np.sqrt(a[r] - _dot(a, a, r))


@jit
def _substitute(A: F32, x: F32, n: int) -> float:
    """Solves LLᵀ y = x, y in place of x; returns x·y."""
    for i in range(n):
        x[i] = (x[i] - _dot(A[i], x, i)) / A[i, i]
    product = float(_dot(x, x, n))
    for i in range(n - 1, -1, -1):
        x[i] /= A[i, i]
        c = x[i]
        for j in range(i):
            x[j] -= c * A[i, j]
    return product


@jit
def _dot(a: F32, b: F32, n: int) -> np.float32:
    total = np.float32(0)
    for t in range(n):
        total += a[t] * b[t]
    return total


@jit
def turn_rows(vectors: F32, turn: F32, turned: F32, start: int, stop: int) -> None:
    """turned = vectors · turnᵀ for the rows from start to stop; the columns of both are padded alike."""
    for row in range(start, stop):
        _turn(turn, vectors[row], turned[row])


@jit
def _turn(turn: F32, x: F32, out: F32) -> None:
    """The first numbers of out = turn · x."""
    n, width = turn.shape
    for j in range(0, n - 3, 4):
        a0, a1, a2, a3 = turn[j], turn[j + 1], turn[j + 2], turn[j + 3]
        s0 = s1 = s2 = s3 = np.float32(0)
        for k in range(width):
            s0 += a0[k] * x[k]
            s1 += a1[k] * x[k]
            s2 += a2[k] * x[k]
            s3 += a3[k] * x[k]
        out[j] = s0
        out[j + 1] = s1
        out[j + 2] = s2
        out[j + 3] = s3
    for j in range(n // 4 * 4, n):
        out[j] = _dot(turn[j], x, width)


@jit
def gram_part(vectors: F32, start: int, stop: int, part: F32) -> None:
    """Adds VᵀV of the rows from start to stop to the lower triangle of `part`."""
    width = vectors.shape[1]
    B = np.zeros((width, CHUNK), np.float32)
    for first in range(start, stop, CHUNK):
        n = min(CHUNK, stop - first)
        for t in range(n):
            v = vectors[first + t]
            for k in range(width):
                B[k, t] = v[k]
        B[:, n:] = 0
        _add_products(part, B, width, CHUNK)


@jit
def eigen(G: F64) -> tuple[F64, F64]:
    """Eigenvalues float64[K] and, as rows, eigenvectors float64[K, K] of a symmetric G with eigenvalues of at least 0.

    Jacobi rotations from one side until the rows of QᵀG are at right angles (Hestenes, "Inversion of Matrices by
    Biorthogonalization and Related Results", SIAM 1958). LAPACK would do, but its threads go on spinning for a while
    after each call, on the very cores that the rows are solved on, and its result may depend on how many there are.
    """
    n = len(G)
    Q = np.zeros((n, n))
    for i in range(n):
        Q[i, i] = 1
    largest = 0.0
    for i in range(n):
        largest = max(largest, _dot64(G[i], G[i]))
    for _ in range(30):
        turned = False
        for i in range(n - 1):
            for j in range(i + 1, n):
                a, b = G[i], G[j]
                aa, bb, ab = _dot64(a, a), _dot64(b, b), _dot64(a, b)
                if ab * ab <= 1e-18 * max(aa, bb) * largest:
                    continue
                turned = True
                zeta = (bb - aa) / (2 * ab)
                t = (1 if zeta >= 0 else -1) / (abs(zeta) + np.sqrt(1 + zeta * zeta))
                c = 1 / np.sqrt(1 + t * t)
                _rotate(a, b, c, c * t)
                _rotate(Q[i], Q[j], c, c * t)
        if not turned:
            break
    eigenvalues = np.empty(n)
    for i in range(n):
        eigenvalues[i] = max(_dot64(G[i], Q[i]), 0.0)
    return eigenvalues, Q


@jit
def _rotate(a: F64, b: F64, c: float, s: float) -> None:
    for k in range(len(a)):
        ak = a[k]
        a[k] = c * ak - s * b[k]
        b[k] = s * ak + c * b[k]


@jit
def _dot64(a: F64, b: F64) -> float:
    total = 0.0
    for k in range(len(a)):
        total += a[k] * b[k]
    return total
