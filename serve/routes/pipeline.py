"""The routes about the pipeline: status, versions, settings; and what a supervisor and Prometheus ask.

In: requests. Out: what the pointers and run files say. Next: `reelstream.serve.app` puts the routes together.
"""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter, Request
from starlette.responses import Response

from reelstream.api.status import collect
from reelstream.serve import schema
from reelstream.serve.json_response import json_response
from reelstream.serve.problems import documented
from reelstream.serve.service import service_of
from reelstream.settings import Settings
from reelstream.store import version_history
from reelstream.store.quality import QualityStore
from reelstream.store.quality_figures import over_time, points
from reelstream.store.recommendations import RecommendationsStore

router = APIRouter(tags=["pipeline"])


def settings_of(request: Request) -> Settings:
    return service_of(request).settings


@router.get("/v1/status", responses=documented(503))
def status(request: Request) -> Response:
    """What `reelstream status --json` prints."""
    return json_response(collect(settings_of(request)))


@router.get("/v1/versions", response_model=schema.Versions, responses=documented(503))
def versions(request: Request) -> Response:
    """The versions on disk, and the history of all refits and rollbacks."""
    published = RecommendationsStore(settings_of(request).warehouse)
    current = published.current_or_none()
    return json_response(
        {
            "current": current and current.name,
            "versions": published.versions(),
            "history": version_history.read(settings_of(request).warehouse),
        }
    )


@router.get("/v1/quality", response_model=schema.Quality, responses=documented(503))
def quality(request: Request) -> Response:
    """How well live ratings were predicted before they were learned from: in all, and over time."""
    found = over_time(QualityStore(settings_of(request).warehouse).read())
    if found is None:
        return json_response({"ratings": 0, "liked": 0, "over_time": []})
    return json_response({**found, "over_time": points(found["over_time"], "ratings")})


@router.get("/v1/settings", response_model=schema.Scale)
def scale(request: Request) -> Response:
    """The scale of ratings."""
    found = settings_of(request).scale
    return json_response({**asdict(found), "liked_from": found.liked, "kind": found.kind})


@router.get("/live", response_model=schema.Well)
async def live() -> Response:
    """200 as long as the server runs."""
    return json_response({"status": "ok"})


@router.get("/ready", response_model=schema.Well, responses=documented(503))
def ready(request: Request) -> Response:
    """200 when there are recommendations to answer with."""
    _ = service_of(request).snapshots.now().version  # raises NotReady
    return json_response({"status": "ok"})


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"description": "Prometheus' text format.", "content": {"text/plain": {}}}},
)
def metrics(request: Request) -> Response:
    """Figures for Prometheus; each is described in docs/metrics.md."""
    rendered, media_type = request.app.state.metrics.render()
    return Response(rendered, media_type=media_type)
