"""JSON answers, written by hand: checking each against its model again would take longer than computing it.

In: plain values. Out: a response. Next: the client.
"""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response


def json_response(value: Any, status: int = 200) -> Response:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
    return Response(text.encode("utf-8", "replace"), status, media_type="application/json")


def _plain(value: Any) -> Any:
    isoformat = getattr(value, "isoformat", None)
    return isoformat() if isoformat else str(value)
