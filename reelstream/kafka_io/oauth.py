"""Tokens for SASL OAUTHBEARER, from the token endpoint of an identity provider by client credentials (RFC 6749, 4.4).

In: the endpoint, the client's id and secret. Out: a token that has not expired. Next: kafka-python's clients ask for one
at each login; Spark's Java client gets its own, from the same properties.
"""

from __future__ import annotations

import base64
import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

from kafka.net.sasl.oauth import AbstractTokenProvider

from reelstream.errors import BrokerUnavailable

TIMEOUT_S = 10.0
USED_SHARE = 0.8
"""Of a token's life, after which another one is asked for."""

UNKNOWN_LIFE_S = 60.0


class ClientCredentials(AbstractTokenProvider):  # type: ignore[misc]
    """login: `clientId`, `clientSecret`, and if given `scope` and `extension_…`, as in Java's `sasl.jaas.config`."""

    def __init__(self, endpoint: str, login: Mapping[str, str]) -> None:
        self._endpoint = endpoint
        self._login = dict(login)
        self._lock = threading.Lock()
        self._token, self._until = "", 0.0

    def token(self) -> str:
        """Raises BrokerUnavailable where the endpoint gives none."""
        with self._lock:
            if time.monotonic() >= self._until:
                answer = self._ask()
                life_s = float(answer.get("expires_in") or UNKNOWN_LIFE_S)
                self._token, self._until = answer["access_token"], time.monotonic() + USED_SHARE * life_s
            return self._token

    def extensions(self) -> dict[str, str]:
        prefix = "extension_"
        return {name.removeprefix(prefix): value for name, value in self._login.items() if name.startswith(prefix)}

    def _ask(self) -> dict[str, Any]:
        scope = {"scope": self._login["scope"]} if "scope" in self._login else {}
        body = urllib.parse.urlencode({"grant_type": "client_credentials", **scope}).encode()
        pair = f"{self._login['clientId']}:{self._login['clientSecret']}"
        headers = {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}", "Accept": "application/json"}
        try:
            asked = urllib.request.Request(self._endpoint, body, headers)
            with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as answer:
                found = json.loads(answer.read())
            if isinstance(found, dict) and isinstance(found.get("access_token"), str):
                return found
            why = "an answer without access_token"
        except urllib.error.HTTPError as error:
            why = f"HTTP {error.code}"
        except (OSError, ValueError) as error:
            why = type(error).__name__
        raise BrokerUnavailable(
            f"the token endpoint {self._endpoint} gives no token ({why}); check sasl.oauthbearer.token.endpoint.url, and "
            "clientId and clientSecret in sasl.jaas.config."
        )
