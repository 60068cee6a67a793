"""`python -m reelstream` is the `reelstream` command."""

from __future__ import annotations

from reelstream.cli.main import run

if __name__ == "__main__":
    run()
