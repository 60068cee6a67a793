"""How every kernel is compiled: without the GIL, so that threads of our own run it side by side, and cached on disk.

In: a Python function over arrays. Out: machine code. Next: `kernel`, `scoring` and `counting_sort` use it.
Sums may be reordered to fill vector registers, once and for all rows alike; NaN and infinity keep their meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def jit(function: F) -> F:
    """Compiles at the first call. Where no folder for the cache can be written, compiles anew in each process."""
    compiled = numba.njit(nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz", "arcp"})(function)
    with suppress(RuntimeError):  # no place for a cache: a read-only installation without a home folder
        compiled.enable_caching()
    return cast(F, compiled)
