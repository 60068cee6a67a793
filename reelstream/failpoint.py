"""Named points between two durable steps, at which a crash test has the process killed as by `kill -9`.

REELSTREAM_FAILPOINT=NAME kills where the point is reached first, NAME:3 where it is reached for the third time. Nothing
happens without it.
"""

from __future__ import annotations

import itertools
import os
import signal

from reelstream.errors import UsageError

FAILPOINTS = (
    # any command: a file is complete, but not yet at its place
    "table-aside",
    "pointer-aside",
    # a micro-batch that hides or dismisses movies
    "hidden-stored",
    "dismissed-written",
    "dismissed-stored",
    # a micro-batch
    "directory-written",
    "batch-written",
    "batch-stored",
    "lists-written",
    "lists-stored",
    # small files compacted
    "merge-written",
    "merge-stored",
    "compaction-written",
    "compaction-stored",
    "snapshot-written",
    "snapshot-stored",
    # live quality, new movies
    "quality-written",
    "quality-stored",
    "movies-folded",
    "similar-folded",
    # hidden movies leave the files
    "hidden-taken-off",
    # a user is forgotten
    "ratings-rewritten",
    "rejects-rewritten",
    "file-rewritten",
    "forget-removed",
    "forget-stored",
    # `refit`
    "table-written",
    "model-written",
    "version-written",
    "version-published",
    "version-linked",
    # `rollback`
    "rollback-published",
    "rollback-linked",
    # `movies load`
    "titles-written",
    "titles-stored",
    # `tune`
    "trial-written",
)
"""Every point, in the order in which a process comes to them."""

_reached = itertools.count(1)


def failpoint(name: str) -> None:
    """Ends this process at once, with no clean-up, if REELSTREAM_FAILPOINT asks for it here."""
    asked, _, nth = os.environ.get("REELSTREAM_FAILPOINT", "").partition(":")
    if asked == name and next(_reached) == int(nth or 1):
        os.kill(os.getpid(), signal.SIGKILL)


def check_failpoint() -> None:
    """Raises UsageError if REELSTREAM_FAILPOINT names no point: the process would never be killed."""
    asked = os.environ.get("REELSTREAM_FAILPOINT", "")
    name, colon, nth = asked.partition(":")
    if asked and (name not in FAILPOINTS or (colon and not (nth.isdecimal() and int(nth)))):
        raise UsageError(f"REELSTREAM_FAILPOINT={asked} is none of {', '.join(FAILPOINTS)}; unset it, or name one.")
