"""What every request passes first: who may ask, how large a question may be, and how long the answer took.

In: requests. Out: the same, or a problem. Next: the routes of `reelstream.serve.app`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reelstream.serve.ids import path_of
from reelstream.serve.listener import is_loopback
from reelstream.serve.problems import problem

MAX_BODY = 256 * 1024
"""Bytes of a request's body."""
TOO_LARGE = f"a body has at most {MAX_BODY:,} bytes."
MAX_URL = 8 * 1024
"""Bytes of a query string."""

OPEN = ("/live", "/ready", "/", "/favicon.ico")
"""Paths that need no token, beside the page's files: they tell nothing about anybody."""

HEADERS = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}

Observe = Callable[[str, str, int, float], None]
"""route, method, status, seconds."""


class Guard:
    """token: what `Authorization: Bearer …` must hold; None lets everybody in who asks for a loopback host: a page of
    another site that has its name lead here is refused."""

    def __init__(self, app: ASGIApp, token: str | None, observe: Observe) -> None:
        self._app = app
        self._token = token
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500
        scope = {**scope, "path": path_of(scope)}

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            refusal = self._refusal(scope)
            if refusal is not None:
                await refusal(scope, receive, sent)
                return
            await self._app(scope, _Bounded(receive).receive, sent)
        finally:
            route = getattr(scope.get("route"), "path_format", "none")
            self._observe(route, scope["method"], status, time.perf_counter() - started)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        headers = Headers(scope=scope)
        if len(scope["query_string"]) > MAX_URL:
            return problem(414, f"a query has at most {MAX_URL:,} bytes.")
        if int(headers.get("content-length", "0") or 0) > MAX_BODY:
            return problem(413, TOO_LARGE)
        if self._token is None:
            if not is_loopback(urlsplit(f"//{headers.get('host', '')}").hostname or ""):
                return problem(403, "without a token, only a loopback host such as 127.0.0.1 is answered.")
            return None
        path = scope["path"]
        if path in OPEN or path.startswith("/page/"):
            return None
        if not any(secrets.compare_digest(one.encode(), self._token.encode()) for one in _tokens(scope, headers)):
            return problem(401, "give the access token as `Authorization: Bearer …`.", {"www-authenticate": "Bearer"})
        return None


def _tokens(scope: Scope, headers: Headers) -> list[str]:
    """What is given as a token; a browser's EventSource cannot set a header, so its path takes `?token=` too."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    tokens = [given.strip()] if scheme.lower() == "bearer" else []
    if scope["path"] == "/v1/events":
        tokens += parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
    return tokens


class _Bounded:
    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._bytes = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self._bytes += len(message.get("body", b""))
        if self._bytes > MAX_BODY:
            raise HTTPException(413, TOO_LARGE)
        return message
