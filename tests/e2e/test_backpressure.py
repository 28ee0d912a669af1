"""Requests behind one another on one connection: each is read, asked and answered in its turn."""

from __future__ import annotations

import contextlib
import json
import threading
from typing import TYPE_CHECKING

import pytest
from tests.e2e.raw import Origin, Reader, connect

if TYPE_CHECKING:
    from tests.e2e.conftest import Provider, Proxy

REQUESTS, SIZE = 30, 65536


def test_requests_behind_one_that_waits_are_answered(proxy: Proxy) -> None:
    """Those behind it are for Askonce itself."""
    answer, gate = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", threading.Event()
    with contextlib.closing(Origin()) as origin, connect(proxy.port) as connection:
        origin.answer(gate, answer)
        first = b"GET http://127.0.0.1:%d/ HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n\r\n" % (origin.port, origin.port)
        own = b"GET /health/live HTTP/1.1\r\nhost: 127.0.0.1:%d\r\ncontent-length: %d\r\n\r\n" % (proxy.port, SIZE)
        sender = threading.Thread(target=connection.sendall, args=(first + (own + b" " * SIZE) * REQUESTS,))
        sender.start()
        gate.set()
        reader = Reader(connection)
        answers = [reader.message() for _ in range(REQUESTS + 1)]
        sender.join()
    assert all(one.startswith(b"HTTP/1.1 200 ") for one in answers)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models/unknown"], ids=["cached", "passed on"])
def test_each_of_many_behind_one_another_is_asked_in_turn(
    path: str, proxy: Proxy, local_provider: Provider, api_key: str
) -> None:
    bodies = [json.dumps({"model": "m", "messages": [{"role": "user", "content": f"{n}?"}]}).encode() for n in range(9)]
    head = f"POST {local_provider.url}{path} HTTP/1.1\r\nhost: 127.0.0.1:{local_provider.port}\r\n"
    head += f"authorization: Bearer {api_key}\r\ncontent-type: application/json\r\n"
    with connect(proxy.port) as connection:
        for body in bodies:
            connection.sendall(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
        reader = Reader(connection)
        assert all(reader.message().startswith(b"HTTP/1.1 ") for _ in bodies)
    assert [request["body"].encode() for request in local_provider.stats()["requests"]] == bodies
    assert proxy.get("/v1/stats")["in_flight"] == 0
