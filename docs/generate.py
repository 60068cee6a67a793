"""Writes the tables of the documentation that the code knows best: settings, reject reasons, commands and their options.

    python -m docs.generate

In: Settings, REASONS and the `reelstream` command. Out: the text between the marks `<!-- generated: NAME -->` and
`<!-- end -->` of the files in PAGES. Next: `tests/test_docs.py` fails while the files hold another text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import typer.main

from reelstream.cli.main import app
from reelstream.events import REASONS
from reelstream.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "docs/commands.md")
SHARED = ("--warehouse", "--bootstrap-servers", "--command-config", "--topic", "--json")
"""Options with one meaning in every command: described once."""

MARKED = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    for name in PAGES:
        page = ROOT / name
        page.write_text(filled_in(page.read_text("utf-8")), "utf-8")


def filled_in(text: str) -> str:
    """The page with every generated part rebuilt. Raises KeyError for a mark that names no part."""
    parts = {"settings": settings, "reasons": reasons, "summary": summary, "shared": shared, "commands": commands}
    return MARKED.sub(lambda mark: f"{mark[1]}\n{parts[mark[2]]()}\n\n{mark[3]}", text)


def settings() -> str:
    rows = [
        (
            f"`{name}`",
            _takes(field.annotation),
            "–" if field.default is None else f"`{field.default}`",
            field.description,
        )
        for name, field in Settings.model_fields.items()
    ]
    return _table(("setting", "takes", "default", "meaning"), rows)


def reasons() -> str:
    return _table(
        ("reason", "the event is rejected because of"), [(f"`{name}`", text) for name, text in REASONS.items()]
    )


def summary() -> str:
    rows = [
        (
            f"[`reelstream {name}`](docs/commands.md#reelstream-{name.replace(' ', '-')})",
            re.split(r"\.\s", _plain(command.help))[0].rstrip("."),
        )
        for name, command in all_commands().items()
    ]
    return _table(("command", "what it does"), rows)


def shared() -> str:
    found = {option.opts[0]: option for command in all_commands().values() for option in command.params}
    return _table(("option", "meaning"), [_option(found[name]) for name in SHARED])


def commands() -> str:
    return "\n\n".join(_section(name, command) for name, command in all_commands().items())


def all_commands() -> dict[str, Any]:
    """Every command by its name, that of one in a group after the group's."""
    found: Any = typer.main.get_command(app)
    return {
        f"{name} {inner}".strip(): command
        for name, outer in found.commands.items()
        for inner, command in getattr(outer, "commands", {"": outer}).items()
    }


def options(command: Any) -> Iterator[Any]:
    return (parameter for parameter in command.params if parameter.param_type_name == "option")


def arguments(command: Any) -> Iterator[Any]:
    return (parameter for parameter in command.params if parameter.param_type_name == "argument")


def _section(name: str, command: Any) -> str:
    usage = " ".join(["reelstream", name, *(_argument_name(argument) for argument in arguments(command)), "[OPTIONS]"])
    own = [_option(option) for option in options(command) if option.opts[0] not in SHARED]
    given = [(f"`{_argument_name(argument)}`", argument.help) for argument in arguments(command)]
    common = [f"`{option.opts[0]}`" for option in options(command) if option.opts[0] in SHARED]
    parts = [f"## reelstream {name}", f"`{usage}`", _plain(command.help)]
    if given or own:
        parts.append(_table(("argument or option", "meaning"), given + own))
    parts.append(f"Takes {', '.join(common)} too.")
    return "\n\n".join(parts)


def _argument_name(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _option(option: Any) -> tuple[str, str]:
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    default = option.default if option.default not in (None, False) else None
    return names, option.help + (f" [default: {default}]" if default is not None else "")


def _takes(annotation: Any) -> str:
    kinds = [kind for kind in (get_args(annotation) or (annotation,)) if kind is not NoneType]
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{kind}`" for kind in kinds)
    return {bool: "`true` or `false`", int: "integer", float: "number", str: "text", Path: "path"}[kinds[0]]


def _plain(text: str) -> str:
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n")).strip()


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    main()
