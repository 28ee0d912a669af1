"""What is not read for a while is read in the end."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from tests.e2e.raw import Origin, Reader, connect

if TYPE_CHECKING:
    from tests.e2e.conftest import Proxy

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
