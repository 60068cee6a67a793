"""Errors as problem+json (RFC 9457).

In: an exception. Out: a response that says what is wrong and what to do. Next: the client.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from reelstream.errors import BrokerUnavailable, Busy, DamagedStore, NotReady, ReelstreamError, Unknown, UsageError
from reelstream.serve.schema import Problem

MEDIA_TYPE = "application/problem+json"

STATUS: list[tuple[type[ReelstreamError], int]] = [
    (Unknown, 404),
    (UsageError, 422),
    (NotReady, 503),
    (BrokerUnavailable, 503),
    (Busy, 503),
    (DamagedStore, 500),
    (ReelstreamError, 500),
]
"""The first class that an error is of gives the status."""

_log = logging.getLogger("reelstream.serve")


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    value = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    content = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    return Response(content, status, headers, MEDIA_TYPE)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route that may answer with these problems."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


READ = documented(404, 414, 422, 503)
"""What a question to the model may meet."""


def handle_errors(app: FastAPI) -> None:
    @app.exception_handler(ReelstreamError)
    def expected(_request: Request, error: ReelstreamError) -> Response:
        return problem(status_of(error), str(error))

    @app.exception_handler(RequestValidationError)
    def invalid(_request: Request, error: RequestValidationError) -> Response:
        said = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:5])
        return problem(422, said or "the request does not fit")

    @app.exception_handler(HTTPException)
    def refused(_request: Request, error: HTTPException) -> Response:
        return problem(error.status_code, error.detail, error.headers)

    @app.exception_handler(Exception)
    def unexpected(request: Request, error: Exception) -> Response:
        _log.error("%s %r failed", request.method, request.url.path, exc_info=error)
        return problem(500, "an error of the server; its log says more.")


def status_of(error: ReelstreamError) -> int:
    return next(status for kind, status in STATUS if isinstance(error, kind))


PROBLEM_SCHEMA = Problem.model_json_schema()
