"""A web server of the test's own on loopback, over TLS where a certificate is given; it counts what is asked for."""

from __future__ import annotations

import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer:
    """`files` are path → content; `cut` paths end after half of it, as a connection that breaks;
    `late` ones are not there when they are first asked for."""

    def __init__(self, files: dict[str, bytes], certificate: ssl.SSLContext | None) -> None:
        self.files = files
        self.cut: set[str] = set()
        self.late: set[str] = set()
        self.asked: Counter[str] = Counter()
        ours = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                ours.asked[self.path] += 1
                content = ours.files.get(self.path)
                if content is None or (self.path in ours.late and ours.asked[self.path] == 1):
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2] if self.path in ours.cut else content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if certificate:
            self._server.socket = certificate.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if certificate else 'http'}://localhost:{self._server.server_address[1]}"

    @contextmanager
    def running(self) -> Iterator[FileServer]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()
