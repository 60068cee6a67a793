"""`replay`: a ratings.csv into Kafka with a progress bar."""

from __future__ import annotations

import hashlib
from pathlib import Path

from reelstream.cli.options import broker_address, err, out, print_json, progress_bar, show_bad_rows
from reelstream.kafka_io.topic import prepare_topic
from reelstream.producer.send import ReplayResult
from reelstream.producer.send import replay as send_replay
from reelstream.settings import Settings


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
) -> ReplayResult:
    """Sends the file to the warehouse's broker, or to the one in the settings. See `reelstream.producer.send.replay`."""
    address = broker_address(settings)
    properties = prepare_topic(settings, address)
    with progress_bar(quiet=quiet) as bar:
        task = bar.add_task(f"replay {file.name}", total=None, note="")

        def progress(done: int, of: int | None, events_per_s: float) -> None:
            bar.update(task, completed=done, total=of, note=f"{events_per_s:,.0f} events/s")

        return send_replay(
            file,
            bootstrap_servers=address,
            topic=settings.topic,
            properties=properties,
            rating_min=settings.rating_min,
            rating_max=settings.rating_max,
            rate_per_s=rate,
            speed=speed,
            limit=limit,
            resume=resume,
            strict=strict,
            state_path=resume_state(settings, file),
            progress=progress,
            notice=lambda text: err.print(text, soft_wrap=True, markup=False),
        )


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
