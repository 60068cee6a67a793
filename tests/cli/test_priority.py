"""A refit beside ingestion comes second, also where Linux shares time between sessions."""

import os
import re
import subprocess
from pathlib import Path

from reelstream.cli.up import REFIT_NICENESS, lower_priority


def test_a_session_of_its_own_has_a_lower_priority() -> None:
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        lower_priority(child.pid)
        assert os.getpriority(os.PRIO_PROCESS, child.pid) == REFIT_NICENESS
        session = Path(f"/proc/{child.pid}/autogroup")
        assert not session.exists() or re.search(rf"nice {REFIT_NICENESS}\b", session.read_text())
    finally:
        child.kill()
        child.wait()
