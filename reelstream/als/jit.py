"""How every kernel is compiled: without the GIL, so that threads of our own run it side by side, and cached on disk.

In: a Python function over arrays. Out: machine code. Next: `kernel`, `scoring` and `counting_sort` use it.
Sums may be reordered to fill vector registers, once and for all rows alike; NaN and infinity keep their meaning.
"""

from __future__ import annotations

import inspect
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import NullCache

F = TypeVar("F", bound=Callable[..., object])


def jit(function: F) -> F:
    """Compiles at the first call. Where no directory for the cache can be written, compiles anew in each process.

    So it does where others could write into the cache, since what lies there is run. numba takes NUMBA_CACHE_DIR, else
    `__pycache__` beside the code, else the user's cache directory.
    """
    fastmath = {"reassoc", "contract", "nsz", "arcp"}
    compiled: Any = numba.njit(nogil=True, error_model="numpy", fastmath=fastmath)(function)
    with suppress(RuntimeError):  # no place for a cache: a read-only installation without a home directory
        compiled.enable_caching()
        if _others_may_write(Path(compiled._cache.cache_path), Path(inspect.getfile(function))):
            compiled._cache = NullCache()
    return cast(F, compiled)


def _others_may_write(directory: Path, code: Path) -> bool:
    """Others than us, root and the owner of the code."""
    status = directory.stat()
    return bool(status.st_mode & stat.S_IWOTH) or status.st_uid not in {os.getuid(), 0, code.stat().st_uid}
