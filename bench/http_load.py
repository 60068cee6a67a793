"""Keep-alive connections that ask again as soon as they are answered, as little a client as can be.

In: a port and requests. Out: the seconds of each answer. Next: `bench.serve`, from a process of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

HOST = "127.0.0.1"


class _Connection(asyncio.Protocol):
    def __init__(self, requests: Iterator[bytes], until_s: float, took: list[float], bad: list[bytes]) -> None:
        self._requests, self._until_s, self._took, self._bad = requests, until_s, took, bad
        self._answer = bytearray()
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head = self._answer.find(b"\r\n\r\n")
        if head < 0:
            return
        at = self._answer.lower().find(b"content-length:")
        length = int(self._answer[at + 15 : self._answer.find(b"\r\n", at)])
        if len(self._answer) < head + 4 + length:
            return
        self._took.append(time.perf_counter() - self._asked_s)
        if not self._answer.startswith(b"HTTP/1.1 200"):
            self._bad.append(bytes(self._answer[:100]))
        self._answer.clear()
        if time.perf_counter() < self._until_s:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None:
            self._bad.append(str(error).encode())
        if not self.closed.done():
            self.closed.set_result(None)

    def _ask(self) -> None:
        self._asked_s = time.perf_counter()
        self._transport.write(next(self._requests))


def load(port: int, requests: Iterator[bytes], *, connections: int, seconds: float) -> tuple[list[float], list[bytes]]:
    """Asks for so many seconds; (seconds of each answer, what was no 200)."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        until_s = time.perf_counter() + seconds
        made = [
            await loop.create_connection(lambda: _Connection(requests, until_s, took, bad), HOST, port)
            for _ in range(connections)
        ]
        await asyncio.gather(*(protocol.closed for _, protocol in made))

    took: list[float] = []
    bad: list[bytes] = []
    asyncio.run(run())
    return took, bad


def request(method: str, path: str, body: bytes = b"") -> bytes:
    more = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\n{more}\r\n".encode() + body
