"""Every error that reelstream raises on purpose. Each message says what is wrong and what to do next.

ReelstreamError                exit code 1
├── UsageError                 2   a setting, an argument or a file the user gave does not fit
│   ├── BadRating                  a rating event that breaks the contract; carries the reject reason
│   ├── AmbiguousTitle             several movies fit a title; carries the candidates
│   └── Unknown                    no movie or genre of this name or id
├── NotReady                   3   what was asked for is not there yet (no ratings, no published version)
├── MissingRequirement         4   Java, jars, disk space or the network is missing on this machine
├── BrokerUnavailable          5   no Kafka broker answers
│   └── RegistryUnavailable        no schema registry answers, or it refuses the login
├── Busy                       6   another process holds the lock of this warehouse
├── DamagedStore               7   a table or a pointer cannot be read, or a newer reelstream wrote it
└── HeldBack                   9   a refit is worse than the last version, and held back (8: done, but some CSV rows were bad)
"""

from __future__ import annotations

from collections.abc import Sequence


class ReelstreamError(Exception):
    """Base of all; `exit_code` is what the `reelstream` command ends with."""

    exit_code = 1


class UsageError(ReelstreamError):
    exit_code = 2


class BadRating(UsageError):
    """`reason` is one of `reelstream.events.REASONS`, `detail` names the field and its value."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class AmbiguousTitle(UsageError):
    """`candidates` are (movie_id, title) pairs, most rated first."""

    def __init__(self, title: str, candidates: Sequence[tuple[int | str, str]]) -> None:
        listed = ", ".join(f"{movie_id} = {name}" for movie_id, name in candidates[:10])
        super().__init__(f"{title!r} fits several movies; use an id: {listed}")
        self.candidates = list(candidates)


class Unknown(UsageError):
    pass


class NotReady(ReelstreamError):
    exit_code = 3


class MissingRequirement(ReelstreamError):
    exit_code = 4


class BrokerUnavailable(ReelstreamError):
    exit_code = 5


class RegistryUnavailable(BrokerUnavailable):
    pass


class Busy(ReelstreamError):
    exit_code = 6


class DamagedStore(ReelstreamError):
    exit_code = 7


class HeldBack(ReelstreamError):
    """`reasons` say what is worse; `accepted` ratings had come in all when it read them."""

    exit_code = 9

    def __init__(self, version: str, reasons: Sequence[str], accepted: int) -> None:
        super().__init__(
            f"version {version} is held back, not published: {'; '.join(reasons)}. `reelstream refit --force` publishes "
            "all the same."
        )
        self.version = version
        self.reasons = list(reasons)
        self.accepted = accepted
