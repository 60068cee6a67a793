"""A refit: all ratings → both models → metrics → top-N tables → one new version, published in one step.

In: the ratings store. Out: `models/version=…`, `recommendations/version=…` and the moved pointer. Next: readers.
It reads the store as it stands when it starts; ratings that come meanwhile are folded in before the version is
published.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reelstream.als.alternate import StepProgress
from reelstream.als.factors import Factors
from reelstream.als.fold_in import FoldIn
from reelstream.api.published_lists import POPULAR_ROWS
from reelstream.batch.engines import native
from reelstream.batch.gate import Engine, measure, reasons_against
from reelstream.batch.training import TrainingData, load
from reelstream.batch.tuning.folds import Fold
from reelstream.batch.tuning.neighbour import try_neighbours
from reelstream.batch.tuning.plan import plan
from reelstream.batch.tuning.search import Found, search
from reelstream.errors import DamagedStore, HeldBack, MissingRequirement
from reelstream.settings import Settings
from reelstream.store import models, run_files, version_history
from reelstream.store.dismissed import DismissedStore
from reelstream.store.forget import from_version
from reelstream.store.hidden_movies import HiddenMovies
from reelstream.store.locks import exclusive
from reelstream.store.movies import MoviesStore, Titles
from reelstream.store.rating_rows import latest
from reelstream.store.ratings import RatingsStore
from reelstream.store.recommendations import RecommendationsStore, Version
from reelstream.store.updates import Updates
from reelstream.top_lists import folded_lists, popular_list, rating_arrays, similar_lists, user_lists


def _silent(_what: str, _done: int, _of: int) -> None:
    return None


def refit(settings: Settings, *, force: bool = False, progress: StepProgress = _silent) -> Version:
    """Fits and publishes a new version; the numbers are those in the code.

    1. read the latest rating of each (user, movie)
    2. measure: fit without the held-out part, from where the last version's such fit ended, and predict that part; before
       that or then, look for better settings (see `reelstream.batch.tuning.plan`)
    3. fit all ratings, from where the measured fit ended
    4. write the model and its tables aside
    5. fold in the users that rated meanwhile
    6. move the pointer

    Raises NotReady if there is no rating, Busy if another refit runs, HeldBack if it is worse than the last version (see
    `reelstream.batch.gate`) and not forced: its tables stay aside. Whatever fails before step 6 leaves the last version
    in place, and `run/refit.json` says what it was.
    """
    with exclusive(settings.warehouse / "run" / "refit.lock", "A refit"):
        report = _Report(settings, progress)
        try:
            return _refit(settings, report, force)
        except BaseException as error:
            report.failed(error)
            raise


def _refit(settings: Settings, report: _Report, force: bool) -> Version:
    store = RatingsStore(settings.warehouse)
    published = RecommendationsStore(settings.warehouse)
    fit, ours = engine(settings.engine), settings.engine == "native"
    current = published.current_or_none()
    planned = plan(settings, current.info if current else None)
    with suppress(MissingRequirement, OSError):
        version_history.take_up(settings.warehouse)

    report.step("read ratings")  # 1
    as_of = datetime.now(UTC)
    data = load(store)

    planned = planned.with_ratings(len(data.rating))
    found = Found(planned.settings, [])
    if planned.how == "search":  # 2
        report.step("search for better settings")
        found = search(data.matrix(~data.held_out()), planned.settings, fits=ours, progress=report.part)
    report.step("measure on held-out ratings")
    last = _last_measured(current, force)
    measured = measure(data, fit, found.settings, settings, last)
    start = measured.factors if measured else None
    if planned.how == "neighbours" and measured and start:
        found, start = try_neighbours(Fold.of(measured.held_out, start), start, planned.turn, fits=ours)
    reasons = reasons_against(measured, settings.gate_margin) if current else []

    report.step("fit all ratings")  # 3
    matrix = data.matrix()
    factors = fit(matrix, found.settings, settings, start=start)

    report.step("top-N tables")  # 4
    name, path, model_path = published.new_version()
    titles, hidden = MoviesStore(settings.warehouse).titles(), HiddenMovies(settings.warehouse).ids()
    dismissed = DismissedStore(settings.warehouse)
    try:
        users = user_lists(
            factors.user_ids,
            (factors.user_bias, factors.rating_user, factors.ranking_user),
            matrix.by_user,
            factors,
            titles,
            n=settings.top_n,
            source="refit",
            version=name,
            as_of=as_of,
            hidden=hidden,
            dismissed=dismissed.now().of(factors.user_ids),
        )
        published.write_tables(
            path,
            users=users,
            similar=similar_lists(factors, titles, n=settings.top_n, version=name, hidden=hidden),
            popular=popular_list(
                factors, titles, n=max(POPULAR_ROWS, settings.top_n), version=name, as_of=as_of, hidden=hidden
            ),
        )
        info = {
            "engine": settings.engine,
            "fitted_at": as_of.isoformat(),
            "top_n": settings.top_n,
            "accepted": data.state.accepted,
            "batch": data.state.batch,
            "offsets": {topic: {str(p): end for p, end in ends.items()} for topic, ends in data.state.offsets.items()},
            "ratings": len(data.rating),
            "users": len(factors.user_ids),
            "movies": len(factors.movie_ids),
            "metrics": measured and {**measured.metrics, **_agreement(current, users)},
            "tuning": planned.record(len(data.rating), found),
            "gate": {"last": measured and measured.last, "reasons": reasons, "forced": bool(reasons and force)},
            "seconds": report.seconds(),
        }
        models.save(model_path, factors, info, measured=measured.factors if measured else None)

        report.step("fold in newer ratings")  # 5
        _catch_up(settings, store, data, (path, model_path), factors, titles, name)

        report.step("publish")  # 6
        if held_back := reasons and not force:
            published.keep_aside(name)
        else:
            version = published.publish(
                name,
                as_of=as_of,
                batch=data.state.batch,
                accepted=data.state.accepted,
                info=info,
                keep=settings.keep_versions,
            )
    except BaseException:
        current = published.current_or_none()
        if current is None or current.name != name:  # else it failed after the pointer had moved
            shutil.rmtree(path, ignore_errors=True)
            shutil.rmtree(model_path, ignore_errors=True)
        raise
    with suppress(MissingRequirement, OSError):  # the version is there; the next refit adds it to the history
        version_history.add(settings.warehouse, name, info, published=not held_back)
    if held_back:
        raise HeldBack(name, reasons, data.state.accepted)
    report.done(version)
    return version


def engine(name: str) -> Engine:
    """The engine `native` or `mllib`."""
    if name == "mllib":
        from reelstream.batch.engines import mllib  # importing Spark takes a moment, and the native engine needs none

        return mllib.fit
    return native.fit


def _last_measured(current: Version | None, force: bool) -> Factors | None:
    """Forced, a refit needs nothing of the last version, so that it is a way out of a damaged one."""
    try:
        return models.load_measured(current.model_path) if current else None
    except DamagedStore:
        if not force:
            raise
        return None


def _agreement(current: Version | None, users: pa.Table) -> dict[str, Any]:
    """overlap_at_10: the share of the 10 movies that a user's folded-in list and the new one have in common, mean over
    the folded_in_users that were folded in since the last version. Shorter lists are compared at their length."""
    folded = None
    with suppress(DamagedStore):
        folded = Updates(current.path).read() if current else None
    if folded is None or not folded.num_rows:
        return {"overlap_at_10": None, "folded_in_users": 0}
    shown = folded.filter(pc.less_equal(folded["rank"], 10)).select(["user_id", "movie_id"])
    best = users.filter(pc.less_equal(users["rank"], 10)).select(["user_id", "movie_id"])
    common = shown.join(best, ["user_id", "movie_id"], join_type="inner").num_rows
    folded_in = pc.unique(shown["user_id"])
    return {"overlap_at_10": common / shown.num_rows, "folded_in_users": len(folded_in)}


def _catch_up(
    settings: Settings,
    store: RatingsStore,
    data: TrainingData,
    paths: tuple[Path, Path],
    factors: Factors,
    titles: Titles,
    name: str,
) -> None:
    """Folds in who rated since `data` was read, and leaves out who asked to be forgotten since."""
    fold_in, updates, dismissed = FoldIn(factors), Updates(paths[0]), DismissedStore(settings.warehouse)
    while True:
        state = store.state()
        forgotten = store.forgotten(state).values()
        from_version(*paths, [one.user_id for one in forgotten if one.batch > data.state.batch])
        raters = store.read(columns=["user_id"], after_batch=data.state.batch)["user_id"].to_numpy()
        touched = np.union1d(raters, dismissed.users_since(data.state.batch))
        if len(touched):
            history = rating_arrays(touched, latest(store.read(user_ids=touched.tolist())))
            lists = folded_lists(
                touched,
                history,
                fold_in,
                titles,
                n=settings.top_n,
                version=name,
                as_of=datetime.now(UTC),
                hidden=HiddenMovies(settings.warehouse).ids(),
                dismissed=dismissed.now().of(touched),
            )
            updates.append(lists, state.batch)
        if store.state().forgotten == state.forgotten:  # else someone asked while the lists were written
            return


class _Report:
    """Progress for the caller, and `run/refit.json` for `reelstream status`."""

    STEPS = 7

    def __init__(self, settings: Settings, progress: StepProgress) -> None:
        self._settings = settings
        self._progress = progress
        self._started_at = datetime.now(UTC)
        self._took: list[tuple[str, float]] = []
        self._step: tuple[str, float] | None = None
        self._at: str | None = None

    def step(self, what: str) -> None:
        self._end_step()
        self._step = (what, time.perf_counter())
        self._at = what
        self._progress(what, len(self._took), self.STEPS)
        self._write("running", step=what)

    def part(self, what: str, done: int, _of: int) -> None:
        self._progress(f"{what}, trial {done}", len(self._took), self.STEPS)

    def seconds(self) -> dict[str, float]:
        self._end_step()
        took = {what: round(seconds, 3) for what, seconds in self._took}
        return {**took, "all": round(sum(took.values()), 3)}

    def done(self, version: Version) -> None:
        self._progress("published", self.STEPS, self.STEPS)
        self._write("published", version=version.name, seconds=self.seconds())

    def failed(self, error: BaseException) -> None:
        if isinstance(error, HeldBack):
            more = {"version": error.version, "reasons": error.reasons, "accepted": error.accepted}
            self._write("held back", **more, seconds=self.seconds())
            return
        self._write("failed", step=self._at, error=str(error) or type(error).__name__)

    def _end_step(self) -> None:
        if self._step:
            what, since = self._step
            self._took.append((what, time.perf_counter() - since))
            self._step = None

    def _write(self, state: str, **more: Any) -> None:
        status = {
            "state": state,
            "pid": os.getpid(),
            "engine": self._settings.engine,
            "started_at": self._started_at.isoformat(),
            "updated_at": datetime.now(UTC).isoformat(),
            **more,
        }
        run_files.write(self._settings.warehouse, "refit", status)
