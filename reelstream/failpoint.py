"""Named points between two durable steps, at which a crash test has the process killed as by `kill -9`.

REELSTREAM_FAILPOINT names the point. Nothing happens without it.
"""

from __future__ import annotations

import os
import signal


def failpoint(name: str) -> None:
    """Ends this process at once, with no clean-up, if REELSTREAM_FAILPOINT is `name`."""
    if os.environ.get("REELSTREAM_FAILPOINT") == name:
        os.kill(os.getpid(), signal.SIGKILL)
