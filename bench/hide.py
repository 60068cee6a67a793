"""How soon a movie is on no list: from the acknowledgement of an event that hides it, or of one by which a user dismisses it.

    python -m bench.hide --times 40 --json

A pipeline with the 100,004 real ratings and a published version. In turn the first movie of a user's list is hidden for all,
and dismissed by that user. `answers_s`: until the Python API has it in no answer; `files_s`: until plain reads of the Parquet
files have it on no newest list either. `shown_again`: changes that did not hold when all were looked at once more, in the end.
"""

from __future__ import annotations

import argparse
import random
import time

import numpy as np
import pandas

import reelstream
from bench.harness import Figures, options, real_pipeline, run
from reelstream.api.recommender import Recommender
from reelstream.events import DismissEvent, HideEvent
from reelstream.producer.rating_producer import RatingProducer
from reelstream.settings import Settings
from reelstream.store.own_times import now_ms

POLL_S, WAIT_S, USERS = 0.01, 30.0, 671
Change = tuple[bool, int, int]
"""Whether it is hidden for all, the user, the movie."""


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--times", type=int, default=40, help="changes of either kind")
    if run("hide", parser, hide)["shown_again"]:
        raise SystemExit("a movie was shown again; see the figures above")


def hide(asked: argparse.Namespace) -> Figures:
    with real_pipeline() as (live, _), RatingProducer(live.bootstrap_servers or "", live.topic, {}) as producer:
        reader, choose = reelstream.open(live.warehouse), random.Random(42)
        took: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
        changes = list[Change]()
        for number in range(2 * asked.times):
            user = choose.randint(1, USERS)
            changes.append((number % 2 == 0, user, int(reader.recommend(user, 1)[0].movie_id)))
            took[number % 2 == 0].append(seconds_until_off(live, producer, reader, changes[-1]))
        again = sum(on_answers(reader, change) or on_files(live, change) for change in changes)
    return {"hidden": spread(took[True]), "dismissed": spread(took[False]), "shown_again": again}


def seconds_until_off(
    settings: Settings, producer: RatingProducer, reader: Recommender, change: Change
) -> tuple[float, float]:
    for_all, user, movie = change
    now = now_ms()
    producer.send_now([HideEvent(movie, True, now) if for_all else DismissEvent(user, movie, True, now)])
    acknowledged = time.perf_counter()
    while on_answers(reader, change):
        wait(acknowledged)
    answered = time.perf_counter()
    while on_files(settings, change):
        wait(acknowledged)
    return answered - acknowledged, time.perf_counter() - acknowledged


def wait(since: float) -> None:
    if time.perf_counter() > since + WAIT_S:
        raise SystemExit(f"a movie was still on a list after {WAIT_S} s")
    time.sleep(POLL_S)


def on_answers(reader: Recommender, change: Change) -> bool:
    for_all, user, movie = change
    table = reader.recommendations()
    users, movies = table["user_id"].to_numpy(), table["movie_id"].to_numpy()
    listed = [*reader.recommend(user, 100), *(reader.popular(100) if for_all else ())]
    return bool(((movies == movie) & (for_all | (users == user))).any()) or movie in {row.movie_id for row in listed}


def on_files(settings: Settings, change: Change) -> bool:
    """By README's query for pandas; while a file is replaced the read counts as one that has the movie."""
    for_all, user, movie = change
    try:
        found = settings.warehouse.glob("recommendations/latest/u*/*.parquet")
        lists = pandas.concat(map(pandas.read_parquet, found))
    except FileNotFoundError:
        return True
    if not for_all:
        lists = lists[lists.user_id == user]
    newest = lists[lists.as_of == lists.groupby("user_id").as_of.transform("max")]
    return movie in set(newest.movie_id)


def spread(took: list[tuple[float, float]]) -> Figures:
    figures = {}
    for name, seconds in zip(("answers_s", "files_s"), np.array(took).T, strict=True):
        quantiles = {"median": np.median(seconds), "p95": np.quantile(seconds, 0.95), "max": seconds.max()}
        figures[name] = {quantile: round(float(value), 3) for quantile, value in quantiles.items()}
    return {"changes": len(took), **figures}


if __name__ == "__main__":
    main()
