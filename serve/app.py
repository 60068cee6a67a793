"""The HTTP API and the page, put together.

In: settings, and how to find Kafka. Out: an ASGI application. Next: `reelstream.serve.server` runs it.
"""

from __future__ import annotations

import mimetypes
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from reelstream import __version__
from reelstream.api.movie_filter import Wanted
from reelstream.errors import NotReady
from reelstream.ids import MAX_ID
from reelstream.serve.guard import Guard
from reelstream.serve.metrics import Metrics
from reelstream.serve.problems import PROBLEM_SCHEMA, handle_errors, problem
from reelstream.serve.rating_sender import RatingSender
from reelstream.serve.routes import events, movies, pipeline, users
from reelstream.serve.routes.events import Pulse
from reelstream.serve.service import Service
from reelstream.settings import Settings
from reelstream.store import id_texts

DESCRIPTION = """Recommendations that count a rating as soon as it is acknowledged.

Every answer of the model says where it comes from (`source`), the model's `version` and how old that is (`age_s`).
Errors are `application/problem+json`. Unless the server is bound to loopback, `Authorization: Bearer …` is needed."""


def make_app(
    settings: Settings, kafka_address: Callable[[], str], closing: Callable[[], bool] = lambda: False
) -> FastAPI:
    """kafka_address: gives host:port of the broker, or raises BrokerUnavailable. closing: whether the server is to end,
    so that streams of events end too."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(_warm_up, app.state.service)
        yield
        await run_in_threadpool(app.state.rating_sender.close)

    app = FastAPI(
        title="reelstream",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service = Service(settings)
    app.state.rating_sender = RatingSender(settings, kafka_address)
    app.state.pulse = pulse = Pulse(settings)
    app.state.metrics = metrics = Metrics(settings, lambda: pulse.listeners)
    app.state.closing = closing
    handle_errors(app)
    for router in (users.router, movies.router, pipeline.router, events.router):
        app.include_router(router)
    _serve_page(app)
    app.add_middleware(Guard, token=settings.serve_token, observe=metrics.observe)
    app.openapi = lambda: _openapi(app, settings)  # type: ignore[method-assign]
    return app


def _serve_page(app: FastAPI) -> None:
    """`/` and `/page/…`, read once; nothing else of the disk can be asked for."""
    pages: dict[str, Response] = {}
    for file in (files("reelstream.serve") / "page").iterdir():
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        pages[file.name] = Response(file.read_bytes(), media_type=kind, headers={"cache-control": "no-cache"})

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return pages["index.html"]

    @app.get("/page/{name}", include_in_schema=False)
    async def part(name: str) -> Response:
        return pages.get(name) or problem(404, "there is no such page.")


_INTEGER = {"type": "integer", "minimum": 0, "maximum": MAX_ID}


def _openapi(app: FastAPI, settings: Settings) -> dict[str, Any]:
    """The description, with the scale of these settings, and problems in the place of FastAPI's own errors."""
    scale = settings.scale  # a first replay may have stored it since
    if app.openapi_schema and app.state.described_scale == scale:
        return app.openapi_schema
    app.openapi_schema, app.state.described_scale = None, scale
    described = FastAPI.openapi(app)
    schemas = described["components"]["schemas"]
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    schemas["Problem"] = PROBLEM_SCHEMA
    for name in ("GivenRating", "Stars"):
        schemas[name]["properties"]["rating"] |= {"minimum": scale.rating_min, "maximum": scale.rating_max}
    _exact(described)
    is_text = id_texts.of_warehouse(settings.warehouse).now().is_text
    for of, text in is_text.items():
        if not text:
            _integers(described, of)
    if settings.serve_token is not None:
        described["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        described["security"] = [{"token": []}]
    return described


def _integers(described: Any, of: str) -> None:
    """Ids of users, or of movies, are described as the integers that they are in this warehouse."""
    if isinstance(described, dict):
        if described.get("name") == of and described.get("in") in ("path", "query"):
            schema = described["schema"]
            described["schema"] = {**schema, "items": _INTEGER} if schema.get("type") == "array" else _INTEGER
        for name, value in described.items():
            if name == of and isinstance(value, dict) and "anyOf" in value:
                kept = [one for one in value["anyOf"] if one.get("type") != "string"]
                described[name] = {**value, "anyOf": kept}
            _integers(value, of)
    elif isinstance(described, list):
        for value in described:
            _integers(value, of)


def _exact(described: Any) -> None:
    """Has the largest id as it is: FastAPI gives bounds as floats, which round it up by one."""
    for key, value in described.items() if isinstance(described, dict) else enumerate(described):
        if isinstance(value, dict | list):
            _exact(value)
        elif value == float(MAX_ID):
            described[key] = MAX_ID


def _warm_up(service: Service) -> None:
    """Loads the model and the compiled kernels, so that the first caller does not wait for them."""
    try:
        best = service.ask(lambda now: now.factors.settings.rating_max)  # a version may be of another scale
        service.to_anonymous({1: best}, Wanted())
        service.recommendations(1, Wanted())
        service.ask(lambda now: now.search)
    except NotReady:
        return
