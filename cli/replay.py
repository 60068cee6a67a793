"""`replay`: a file of ratings into Kafka with a progress bar."""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from reelstream.als.scale import Scale
from reelstream.cli.options import broker_address, err, out, print_json, progress_bar, show_bad_rows
from reelstream.errors import UsageError
from reelstream.kafka_io.topic import prepare_topic
from reelstream.producer import resume as resuming
from reelstream.producer.bad_rows import BadRows
from reelstream.producer.file_form import Form, detect
from reelstream.producer.file_scale import scale_of
from reelstream.producer.movies_file import read_movies
from reelstream.producer.packed_file import MOVIES_FILES, named_inside
from reelstream.producer.ratings_csv import read_blocks
from reelstream.producer.send import ReplayResult
from reelstream.producer.send import replay as send_replay
from reelstream.settings import Settings
from reelstream.store import run_files, scale_file
from reelstream.store.movies import MoviesStore
from reelstream.store.ratings import RatingsStore


def replay_file(
    settings: Settings,
    file: Path,
    *,
    rate: float | None,
    speed: float | None,
    limit: int | None,
    resume: bool,
    strict: bool,
    quiet: bool,
    form: Form | None = None,
    titles: pa.Table | None = None,
    scale: Scale | None = None,
) -> ReplayResult:
    """Sends the file to the warehouse's broker, or to the one in the settings. See `reelstream.producer.send.replay`.

    titles: of MOVIES; they are loaded before the first rating is sent. scale: of the ratings; None is found out. The first
    replay of a warehouse stores it there.
    """
    address = broker_address(settings)
    properties = prepare_topic(settings, address)
    form = form or detect(file)
    scale = scale or scale_of(settings, file, form)[0]
    low, high = scale.rating_min, scale.rating_max
    state_path = resume_state(settings, file)
    if resume and not settings.sets_scale:  # live ratings may have come in before the first replay stored its scale
        low, high = resuming.ends_of_last(state_path) or (low, high)
    with progress_bar(quiet=quiet) as bar:
        task = bar.add_task(f"replay {file.name}", total=None, note="")

        def progress(done: int, of: int | None, events_per_s: float) -> None:
            bar.update(task, completed=done, total=of, note=f"{events_per_s:,.0f} events/s")

        def before_sending() -> None:
            store_scale(settings, scale)
            _load(settings, titles)

        return send_replay(
            file,
            bootstrap_servers=address,
            topic=settings.topic,
            properties=properties,
            rating_min=low,
            rating_max=high,
            rate_per_s=rate,
            speed=speed,
            limit=limit,
            resume=resume,
            strict=strict,
            form=form,
            state_path=state_path,
            progress=progress,
            notice=lambda text: err.print(text, soft_wrap=True, markup=False),
            before_sending=before_sending,
        )


def store_scale(settings: Settings, scale: Scale) -> None:
    """Stores it where no scale is stored and no rating is. Raises UsageError where another replay has stored another one in the
    meantime."""
    stored = scale_file.read(settings.warehouse)
    if stored is None and not RatingsStore(settings.warehouse).state().accepted:
        stored = scale_file.write_once(settings.warehouse, scale)
    if stored and not stored.same_ends(scale) and not settings.sets_scale:
        raise UsageError(
            f"another replay has just begun this warehouse on a scale of {stored}; nothing was sent. Replay into another "
            "warehouse, or set rating_min and rating_max."
        )


def elsewhere(settings: Settings, scale: Scale) -> str | None:
    """What to set where the stream runs on another machine; None where it runs on this warehouse, or needs nothing."""
    here = not settings.bootstrap_servers or run_files.read(settings.warehouse, "stream")
    if here or settings.sets_scale or scale.same_ends(Scale()):
        return None
    return (
        "No stream has run on this warehouse. One that has another warehouse needs REELSTREAM_RATING_MIN="
        f"{scale.rating_min:g} REELSTREAM_RATING_MAX={scale.rating_max:g}, or it rejects what is off 0.5 to 5."
    )


def titles_of(settings: Settings, file: Path) -> tuple[pa.Table | None, str]:
    """(the titles in the directory or archive of the ratings that are to be loaded, a sentence about them).

    None, and perhaps a sentence, where there are none or some are loaded already.
    """
    if not (name := named_inside(file, MOVIES_FILES)):
        return None, ""
    if MoviesStore(settings.warehouse).version():
        return None, f" Titles are loaded already, and its {name} is not; `reelstream movies load` loads it."
    try:
        found = read_movies(file)
    except UsageError as error:
        return None, f" Its {name} is not loaded: {error}"
    bad = f"; bad rows there: {found.bad.count:,}" if found.bad.count else ""
    return found.table, f" Titles loaded first, from its {name}: {found.table.num_rows:,}{bad}."


def _load(settings: Settings, titles: pa.Table | None) -> None:
    movies = MoviesStore(settings.warehouse)
    if titles is not None and not movies.version():
        movies.load(titles)


def dry_run(settings: Settings, file: Path, form: Form, about_titles: str, *, as_json: bool) -> int:
    """Says what the file is and what would be sent; the number of bad rows."""
    scale, of_scale = scale_of(settings, file, form)
    bad, good, first_ms, last_ms = BadRows(file), 0, None, None
    now_ms = time.time_ns() // 1_000_000
    low, high = scale.rating_min, scale.rating_max
    for block in read_blocks(file, rating_min=low, rating_max=high, now_ms=now_ms, on_bad=bad.add, form=form):
        good += len(block.rows)
        if len(times := block.rows["rated_at_ms"]):
            first_ms = min(int(times.min()), int(times.min()) if first_ms is None else first_ms)
            last_ms = max(int(times.max()), int(times.max()) if last_ms is None else last_ms)
    bad.refuse_if_most(good, form)
    if as_json:
        counts = {"rows": good, "bad_rows": bad.count, "first_ms": first_ms, "last_ms": last_ms}
        print_json({"form": f"{form}{about_titles} {of_scale}", "scale": scale, **counts})
        return bad.count
    out.print(f"{form}{about_titles} {of_scale}", soft_wrap=True, markup=False)
    span = f", rated from {_day(first_ms)} to {_day(last_ms)}" if first_ms is not None and last_ms is not None else ""
    out.print(f"{good:,} ratings would be sent{span}. Nothing was sent.", soft_wrap=True)
    show_bad_rows(bad.count, bad.first)
    return bad.count


def _day(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d}"


def resume_state(settings: Settings, file: Path) -> Path:
    """Where `--resume` finds how far the replay of this file to this topic has come."""
    name = hashlib.sha256(f"{file.absolute()}\0{settings.topic}".encode()).hexdigest()[:16]
    return settings.warehouse / "run" / f"replay-{name}.json"


def show(result: ReplayResult, *, as_json: bool) -> None:
    """Counts, and the first bad rows with their line numbers."""
    if as_json:
        print_json(result)
        return
    resumed = f", {result.skipped_by_resume:,} sent before" if result.skipped_by_resume else ""
    out.print(
        f"{result.acked:,} events acknowledged in {result.seconds:.1f} s ({result.events_per_s:,.0f} events/s){resumed}."
    )
    show_bad_rows(result.bad_rows, result.first_bad)
