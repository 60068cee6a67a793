"""Names that a pointer holds: each names one file or directory beside it, and nothing else.

In: a name read from disk. Out: the same name, or DamagedStore. Next: whoever joins it to a directory, to read or to delete.
"""

from __future__ import annotations

from reelstream.errors import DamagedStore

LONGEST_BYTES = 255
"""More than that is a name on no file system."""


def inside(name: object) -> str:
    """`name`, where it is a single plain component of a path, so that joined to a directory it stays in that directory.

    Raises DamagedStore for anything else: a separator, `.`, `..`, a NUL, nothing, too much, or no text at all.
    """
    plain = isinstance(name, str) and name not in ("", ".", "..") and not {"/", "\\", "\0"} & set(name)
    if isinstance(name, str) and plain and len(name.encode("utf-8", "surrogatepass")) <= LONGEST_BYTES:
        return name
    raise DamagedStore(
        f"a pointer names {ascii(name)[:80]}, which is no file or directory beside it; restore the warehouse from a backup."
    )
