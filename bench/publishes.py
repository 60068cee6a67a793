"""A reader that never stops, while version after version is published under it: its errors, and its mixed versions.

    python -m bench.publishes --publishes 1000 --json

Fast-forward, by `bench.fast_forward`, on few ratings. One process reads through `reelstream.open` as fast as it can. Another
one refits, and takes micro-batches between two refits; a thread beside it compacts small files and forgets users, as in the
stream. No read may fail, and no answer may hold rows of two versions; in the end the store is compared with the events.
"""

from __future__ import annotations

import argparse

import reelstream
from bench.fast_forward import fast_forward
from bench.harness import NEVER, Figures, options, run, temporary_settings
from bench.synthetic import generate
from reelstream.batch.refit import refit

RATINGS, ONE_IN = 9_240, 5
"""Of 60 users; each fifth of their ratings is taken."""
BATCHES_A_VERSION = 2
READS = dict.fromkeys(("recommend", "recommendations", "similar", "popular", "predict", "ratings"), 1)
SIZES = {"size": 5, "forget_every": BATCHES_A_VERSION, "snapshot_from_rows": 500}
"""Small, as all is here, so that there are many snapshots."""


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--publishes", type=int, default=1000, help="how many versions to publish")
    figures = run("publishes", parser, publishes)
    if any(figures[name] for name in ("errors", "mixed", "missing", "ratings_lost", "ratings_wrong")):
        raise SystemExit("a read failed, or the store is not what was sent; see the figures above")


def publishes(asked: argparse.Namespace) -> Figures:
    few = generate(RATINGS).take(list(range(0, RATINGS, ONE_IN)))
    with temporary_settings(**NEVER) as settings:
        with fast_forward(settings, few, READS, **SIZES) as stream:
            for _ in range(asked.publishes):
                for _ in range(BATCHES_A_VERSION):
                    stream.take()
                refit(settings, force=True)
        compared, said = stream.compared(), stream.failed
        return {
            "publishes": asked.publishes,
            "last_version": reelstream.open(settings.warehouse).version().name,
            "micro_batches": stream.batches - 1,
            "forgotten": compared.pop("users_forgotten"),
            **compared,
            **stream.read,
            "errors": stream.read["errors"] + len(said),
            "first_errors": [*stream.read["first_errors"], *said[:5]],
        }


if __name__ == "__main__":
    main()
