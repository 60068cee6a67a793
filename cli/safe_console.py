"""A console that shows control characters, or drops them, instead of passing them on.

In: whatever a command prints: titles, raw events, errors, names of files. Out: the same on the terminal, where a title
cannot clear the screen, change the window's name or hide what comes after it. Next: `reelstream.cli.options` has one
for each of stdout and stderr.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

_PICTURES = {code: 0x2400 + code for code in range(0x20)} | {0x7F: 0x2421}  # ␀ … ␟ and ␡
_UPPER = range(0x80, 0xA0)  # terminals take U+009B, too, as the start of a command
_SHOWN = {code: picture for code, picture in _PICTURES.items() if chr(code) not in "\n\t"} | dict.fromkeys(_UPPER, "�")
_IN_JSON = {code: f"\\u{code:04x}" for code in (0x7F, *_UPPER)}


class SafeConsole(Console):
    """Rich's own commands, for colours and the progress bar, still reach the terminal."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(shown(segment.text), segment.style)


def shown(text: str) -> str:
    """The text with its control characters made visible, but for line ends and tabs."""
    return text.translate(_SHOWN)


def escape_controls(json_text: str) -> str:
    """The JSON document with the control characters escaped that JSON itself lets stand: its meaning stays the same."""
    return json_text.translate(_IN_JSON)
