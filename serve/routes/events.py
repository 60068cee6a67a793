"""Server-sent events: how the pipeline stands, new versions, and a user's list whenever it changes.

In: the warehouse, looked at while somebody listens. Out: events `pipeline`, `version`, `list`. Next: the page.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from reelstream.api.movie_filter import Wanted
from reelstream.api.status import collect
from reelstream.errors import ReelstreamError
from reelstream.ids import MAX_CHARACTERS, PATTERN, Id
from reelstream.serve.ids import own_id
from reelstream.serve.problems import documented, problem
from reelstream.serve.service import Service
from reelstream.settings import Settings
from reelstream.store.id_texts import USER

LOOK_S = 0.1
"""How often a list is looked at for a change; looking costs no file while nothing was published."""
PIPELINE_S = 1.0
MAX_LISTENERS = 200
LIST_N = 20

router = APIRouter(prefix="/v1", tags=["pipeline"])


class Pulse:
    """The pipeline's state, collected at most once a PIPELINE_S however many listen."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = asyncio.Lock()
        self._at_s = -PIPELINE_S
        self._value: dict[str, Any] = {}
        self.listeners = 0

    async def pipeline(self) -> dict[str, Any]:
        async with self._lock:
            if time.monotonic() - self._at_s >= PIPELINE_S * 0.9:
                self._value = await run_in_threadpool(pipeline, self._settings)
                self._at_s = time.monotonic()
            return self._value


def pipeline(settings: Settings) -> dict[str, Any]:
    """The part of `status` that moves. A warehouse that can't be read is said, not raised."""
    at = datetime.now(UTC).isoformat()
    try:
        value = collect(settings)
    except ReelstreamError as error:
        return {"at": at, "error": str(error)}
    stream, current = value["stream"], value["current"]
    if stream:
        shown = ("state", "alive", "events_per_s", "lag_events", "last_batch", "median_batch", "error", "updated_at")
        stream = {name: stream.get(name) for name in shown}
        stream["fresh_s"] = _fresh_s(stream)
    return {
        "at": at,
        "stream": stream,
        "warnings": value["warnings"],
        "ratings": {name: value["ratings"][name] for name in ("accepted", "rejected")},
        "trigger": value["trigger"],
        "refit": value["refit"],
        "version": current and current["version"],
        "age_s": current and current["age_s"],
        "rolled_back": current and current["rolled_back"],
        "ratings_since": current and current["ratings_since"],
    }


def _fresh_s(stream: dict[str, Any]) -> float | None:
    """Seconds that the newest micro-batches took from Kafka to the lists (median), as far as known."""
    steps = stream.get("median_batch") or stream.get("last_batch")
    if not steps:
        return None
    return round(float(sum(value for name, value in steps.items() if name.endswith("_s"))), 4)


@router.get(
    "/events",
    responses={
        200: {"description": "Events until the client goes.", "content": {"text/event-stream": {}}},
        **documented(414, 422, 503),
    },
    response_class=StreamingResponse,
)
async def events(
    request: Request,
    user_id: Annotated[
        str | None, Query(pattern=PATTERN, max_length=MAX_CHARACTERS, description="Whose list to follow.")
    ] = None,
    most: Annotated[int | None, Query(ge=1, le=10_000, description="End after so many events.")] = None,
) -> Any:
    """Server-sent events: `pipeline` each second, `version` and `list` at the start and after each change."""
    pulse: Pulse = request.app.state.pulse
    if pulse.listeners >= MAX_LISTENERS:
        return problem(503, f"{MAX_LISTENERS} listen already; try again later.")
    service: Service = request.app.state.service
    of = None if user_id is None else own_id(USER, user_id, service.ids.now())
    happening = _happening(service, pulse, of, request.app.state.closing)
    return StreamingResponse(_counted(happening, pulse, most), media_type="text/event-stream")


async def _counted(happening: AsyncIterator[str], pulse: Pulse, most: int | None) -> AsyncIterator[str]:
    pulse.listeners += 1
    sent = 0
    try:
        async for text in happening:
            yield text
            sent += 1
            if most is not None and sent >= most:
                return
    finally:
        pulse.listeners -= 1


async def _happening(
    service: Service, pulse: Pulse, user_id: Id | None, closing: Callable[[], bool]
) -> AsyncIterator[str]:
    version: str | None = None
    movies: list[Any] | None = None
    seen: object = None
    next_pipeline_s = 0.0
    while not closing():
        if time.monotonic() >= next_pipeline_s:
            next_pipeline_s = time.monotonic() + PIPELINE_S
            value = await pulse.pipeline()
            yield _event("pipeline", value)
            if value.get("version") and value["version"] != version:
                version = value["version"]
                yield _event("version", {"version": version, "age_s": value["age_s"]})
        if user_id is not None and (mark := service.mark(user_id)) != seen:
            seen = mark
            try:
                listed = await run_in_threadpool(service.recommendations, user_id, Wanted(LIST_N))
            except ReelstreamError:  # nothing published yet, or a table that can't be read: `pipeline` says so
                listed = None
            if listed is not None and (now := [listed["version"], listed["source"], listed["movies"]]) != movies:
                movies = now
                yield _event("list", listed)
        await asyncio.sleep(LOOK_S)


def _event(name: str, value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=lambda other: getattr(other, "isoformat", other.__str__)())
    return f"event: {name}\ndata: {text}\n\n"
