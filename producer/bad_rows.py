"""The rows of a file that are not sent: how many, why, and whether they are too many to go on.

In: bad rows as they are found. Out: their counts, the first of them, or one error that names their cause.
Next: `reelstream.producer.send` and the commands show them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from reelstream.errors import UsageError
from reelstream.producer.column_names import MOVIELENS
from reelstream.producer.file_form import Form
from reelstream.producer.ratings_csv import BadRow

FIRST_BAD_KEPT = 20


@dataclass(slots=True)
class BadRows:
    path: Path
    strict: bool = False
    """The first one raises."""
    count: int = 0
    first: list[BadRow] = field(default_factory=list)
    _reasons: Counter[str] = field(default_factory=Counter)
    _examples: dict[str, BadRow] = field(default_factory=dict)

    def add(self, row: BadRow) -> None:
        if self.strict:
            raise UsageError(
                f"{self.path}, line {row.line_number}: {row.reason}: {row.text!r}; "
                "correct it, or leave out --strict to skip bad rows. Nothing was sent."
            )
        self.count += 1
        if len(self.first) < FIRST_BAD_KEPT:
            self.first.append(row)
        word = "unrated" if is_unrated(row) else _cause(row.reason)
        self._reasons[word] += 1
        self._examples.setdefault(word, row)

    def clear(self) -> None:
        self.count = 0
        self.first.clear()
        self._reasons.clear()
        self._examples.clear()

    def refuse_if_most(self, good: int, form: Form) -> None:
        """Raises UsageError if fewer rows are good than are wrong; rows without a rating are neither."""
        reasons = Counter({word: n for word, n in self._reasons.items() if word != "unrated"})
        wrong = reasons.total()
        if wrong <= good:
            return
        word, n = reasons.most_common(1)[0]
        example = self._examples[word]
        raise UsageError(
            f"{wrong:,} of {good + wrong:,} rows of {self.path} would be rejected, {n:,} of them as line "
            f"{example.line_number}: {example.reason}. Nothing was sent. {_advice(word, form)} {form}"
        )


def is_unrated(row: BadRow) -> bool:
    return row.reason.startswith(("missing_field: no rating", "nan:"))


def _cause(reason: str) -> str:
    """The word and, where one is named, the field."""
    word, _, rest = reason.partition(": ")
    field = next((name for name in MOVIELENS if name in rest.split()), "")
    return f"{word} {field}".strip()


def _advice(cause: str, form: Form) -> str:
    word, _, name = cause.partition(" ")
    if word == "off_scale" and form.ratings:
        low, high = form.ratings
        return (
            f"Its first ratings go from {low:g} to {high:g}: set rating_min and rating_max to the scale of the file, such as "
            f"REELSTREAM_RATING_MIN={low:g} REELSTREAM_RATING_MAX={high:g}, on a warehouse without ratings on another scale."
        )
    if not form.has_header:
        return "If the columns stand in another order, say for instance --column user_id=2 --column movie_id=1."
    if word == "bad_time" or name == "rated_at":
        return (
            "If times are in another unit, say --time-unit s, ms, us or ns; if another column has them, --column "
            "rated_at=NAME; if these are no times, --column rated_at=none: then each rating is taken as given now."
        )
    if name == "rating":
        return (
            "If another column has the ratings, say --column rating=NAME; if each row is a like, --column rating=none."
        )
    if word in ("bad_id", "wrong_type"):
        return "Ids are whole numbers in this file; if another column holds them, say --column user_id=NAME or movie_id=NAME."
    return (
        "If the columns are separated by something else, say --delimiter; a line break inside quotes is not read. "
        "What was found:"
    )
