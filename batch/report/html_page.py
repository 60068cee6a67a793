"""HTML pages that are written to a file, from the templates in `templates/`. No network, no script, no other file.

In: the name of a template, and what it shows. Out: HTML as text, escaped. Next: `reelstream.batch.evaluation.page` and
`reelstream.batch.report.warehouse_page`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from reelstream.errors import UsageError
from reelstream.store import pointer


def render(template: str, **values: Any) -> str:
    return _TEMPLATES.get_template(template).render(values)


def write(path: Path, page: str, option: str) -> None:
    """Puts the page in place whole; its directory is made if missing.

    Raises UsageError that names the option if it can't be written there.
    """
    try:
        pointer.write_file(path, page.encode("utf-8", "replace"), durable=False)
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error.strerror}; name another place with {option}.") from None


def _number(value: float | None, digits: int = 0) -> str | None:
    return None if value is None else f"{value:,.{digits}f}"


def _percent(value: float | None, digits: int = 2) -> str | None:
    return None if value is None else f"{value:.{digits}%}"


def _age(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:,.0f} s"


def _minute(iso: str | None) -> str | None:
    return iso[:16].replace("T", " ") + " UTC" if iso else None


_TEMPLATES = Environment(
    loader=PackageLoader("reelstream.batch.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {"number": _number, "percent": _percent, "age": _age, "minute": _minute}
