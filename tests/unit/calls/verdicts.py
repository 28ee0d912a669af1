"""An endpoint of chat completions that says what a test tells it to, for verifiers."""

import contextlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

from tests.support.waiting import PATIENCE

__all__ = ["Endpoint", "serving"]


class Endpoint(ThreadingHTTPServer):
    """Says what it is told to."""

    said: Any = "YES"
    status = 200
    is_silent = False
    """Whether it keeps what it has to say until `go`."""
    error = "no"
    """What it says where `status` is another."""

    def __init__(self) -> None:
        self.asked = list[dict[str, Any]]()
        self.go = Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        endpoint = self.server
        assert isinstance(endpoint, Endpoint)
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        endpoint.asked.append(body | {"key": self.headers["authorization"], "path": self.path})
        if endpoint.is_silent:
            endpoint.go.wait(PATIENCE)
        message = {"role": "assistant", "content": endpoint.said}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        answer = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        data = json.dumps(answer if endpoint.status == 200 else {"error": {"message": endpoint.error}}).encode()
        self.send_response(endpoint.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        with contextlib.suppress(OSError):  # who asked did not wait
            self.wfile.write(data)

    def log_message(self, *_: Any) -> None: ...


@contextmanager
def serving() -> Iterator[Endpoint]:
    with Endpoint() as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield server
        server.go.set()
        server.shutdown()
