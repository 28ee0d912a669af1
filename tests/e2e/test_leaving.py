"""Callers who leave while Askonce is busy with their call: it ends as soon as that step is over, and holds nothing.

Each step is held up from outside, by code that only this proxy loads, until the caller has gone.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import h2.config
import h2.connection
import h2.events
import pytest
from tests.e2e.raw import read_message
from tests.support.waiting import PATIENCE, until

if TYPE_CHECKING:
    from tests.e2e.conftest import Provider, Proxy, StartProxy

HOST = "api.openai.com"
CHAT, VECTORS = "/v1/chat/completions", "/v1/embeddings"
HELD_UP = """
import asyncio, pathlib, time

from askonce.calls import request_body
from askonce.calls.divisions import Divisions
from askonce.calls.held_bodies import held_bodies
from askonce.calls.life import Life
from askonce.products.destinations import Destination
from askonce.proxy.flow_state import Work
from askonce.proxy.requests import Requests

folder = pathlib.Path(os.environ["ASKONCE_TEST_GATES"])

def hold_up(owner, name):
    step, gate = getattr(owner, name), folder / name
    async def held_up(*arguments, **more):
        if gate.exists():
            gate.with_suffix(".reached").touch()
            while gate.exists():
                await asyncio.sleep(0.01)
        return await step(*arguments, **more)
    setattr(owner, name, held_up)

for owner, name in ((Requests, "_managed"), (Destination, "check"),
                    (Life, "begin_apart"), (Life, "look_up"), (Divisions, "complete"), (Life, "remember")):
    hold_up(owner, name)

def decode_content(*arguments, step=request_body.decode_content, gate=folder / "decode_content"):
    if gate.exists():  # in a thread
        gate.with_suffix(".reached").touch()
        while gate.exists():
            time.sleep(0.01)
    return step(*arguments)

request_body.decode_content = decode_content

def telling(step):
    def tell(self, flow):
        step(self, flow)
        (folder / "new").write_text(f"{len(self)} calls, {held_bodies.total} bytes")
        (folder / "new").replace(folder / "under-way")
    return tell

Work.begin, Work.end = telling(Work.begin), telling(Work.end)
"""


@dataclass
class Gates:
    """What holds up steps of the proxy."""

    folder: Path

    @contextlib.contextmanager
    def closed(self, step: str) -> Iterator[Callable[[], None]]:
        """Nothing gets past a step; gives what waits until something came to it."""
        gate = self.folder / step
        reached = gate.with_suffix(".reached")
        reached.unlink(missing_ok=True)
        gate.touch()
        try:
            yield lambda: until(reached.exists)
        finally:
            gate.unlink()

    def is_over(self) -> bool:
        """Whether nothing is under way, and nothing held."""
        return (self.folder / "under-way").read_text() == "0 calls, 0 bytes"


@pytest.fixture(scope="module")
def gates(tmp_path_factory: pytest.TempPathFactory) -> Gates:
    return Gates(tmp_path_factory.mktemp("gates"))


@pytest.fixture(scope="module")
def _leaving(start_module_proxy: StartProxy, gates: Gates, tmp_path_factory: pytest.TempPathFactory) -> Proxy:
    folder = tmp_path_factory.mktemp("held-up")
    route = Path(__file__).parent / "route" / "sitecustomize.py"
    (folder / "sitecustomize.py").write_text(route.read_text() + HELD_UP)
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return start_module_proxy(environment={"PYTHONPATH": path, "ASKONCE_TEST_GATES": str(gates.folder)})


@pytest.fixture
def leaving(_leaving: Proxy, provider: Provider) -> Proxy:
    """A proxy whose steps can be held up; the provider's counters are at zero."""
    return _leaving


class Caller:
    """Asks over HTTP/1.1, or as one stream of HTTP/2, and leaves before it has an answer."""

    def __init__(self, proxy: Proxy, key: str, is_http2: bool) -> None:
        self._proxy, self._key, self._is_http2 = proxy, key, is_http2

    def __enter__(self) -> Caller:
        self._socket = socket.create_connection(("127.0.0.1", self._proxy.port), timeout=PATIENCE)
        self._socket.sendall(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n".encode())
        assert b" 200 " in self._socket.recv(65536)
        context = ssl.create_default_context(cafile=str(self._proxy.bundle))
        context.set_alpn_protocols(["h2" if self._is_http2 else "http/1.1"])
        self._socket = context.wrap_socket(self._socket, server_hostname=HOST)
        if self._is_http2:
            self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
            self._h2.initiate_connection()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, path: str, body: bytes, *fields: tuple[str, str]) -> None:
        fields = (("authorization", f"Bearer {self._key}"), ("content-length", str(len(body))), *fields)
        if not self._is_http2:
            head = [f"POST {path} HTTP/1.1", f"host: {HOST}", *(": ".join(field) for field in fields), "", ""]
            self._socket.sendall("\r\n".join(head).encode() + body)
            return
        pseudo = ((":method", "POST"), (":scheme", "https"), (":authority", HOST), (":path", path))
        self._h2.send_headers(1, [*pseudo, *fields])
        while body:
            size = min(len(body), self._h2.local_flow_control_window(1), self._h2.max_outbound_frame_size)
            self._h2.send_data(1, body[:size], end_stream=size == len(body))
            body = body[size:]
            self._socket.sendall(self._h2.data_to_send())
            if body and not self._h2.local_flow_control_window(1):
                self._h2.receive_data(self._socket.recv(65536))

    def leave(self) -> None:
        if self._is_http2:  # the connection stays
            self._h2.reset_stream(1, error_code=8)  # CANCEL
            self._h2.ping(b"is heard")  # what is behind the reset is answered after it
            self._socket.sendall(self._h2.data_to_send())
            heard: list[h2.events.Event] = []
            while not any(isinstance(event, h2.events.PingAckReceived) for event in heard):
                heard = self._h2.receive_data(self._socket.recv(65536))
        else:
            self._socket.close()


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"])
def caller(request: pytest.FixtureRequest, leaving: Proxy, api_key: str) -> Iterator[Caller]:
    with Caller(leaving, api_key, request.param == "HTTP/2") as caller:
        yield caller


def asked(text: str = "Hi.") -> bytes:
    return json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}).encode()


@pytest.mark.parametrize(
    ("step", "body", "coding"),
    [
        ("begin_apart", asked("x" * 100_000), ""),
        ("decode_content", gzip.compress(asked()), "gzip"),
        ("look_up", asked(), ""),
    ],
    ids=["begin_apart", "decode_content", "look_up"],
)
def test_while_a_request_is_read(
    step: str, body: bytes, coding: str, leaving: Proxy, provider: Provider, caller: Caller, gates: Gates
) -> None:
    with gates.closed(step) as reached:
        caller.ask(CHAT, body, *([("content-encoding", coding)] if coding else []))
        reached()
        caller.leave()
        leaving.get("/health/live")
    until(gates.is_over)
    assert (leaving.get("/v1/stats")["in_flight"], provider.calls()) == (0, 0)


def test_while_a_destination_is_checked(leaving: Proxy, provider: Provider, gates: Gates, api_key: str) -> None:
    with gates.closed("check") as reached, socket.create_connection(("127.0.0.1", leaving.port)) as connection:
        head = f"POST /chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{leaving.port}\r\n"
        head += f"authorization: Bearer {api_key}\r\ncontent-type: application/json\r\n"
        connection.sendall(head.encode() + b"content-length: %d\r\n\r\n" % len(asked()) + asked())
        reached()
        connection.close()
        leaving.get("/health/live")
    until(gates.is_over)
    assert (leaving.get("/v1/stats")["in_flight"], provider.calls()) == (0, 0)


def test_while_a_batch_is_put_together(leaving: Proxy, provider: Provider, caller: Caller, gates: Gates) -> None:
    def batch(*texts: str) -> bytes:
        return json.dumps({"model": "e", "input": texts}).encode()

    stored = leaving.get("/v1/stats")["stored"]
    with Caller(leaving, caller._key, is_http2=False) as before:
        before.ask(VECTORS, batch("a"))
        assert read_message(before._socket)[0] == 200  # to its end: what is left before that is not kept
    until(lambda: leaving.get("/v1/stats")["stored"] > stored)
    until(gates.is_over)
    with gates.closed("complete") as reached:
        caller.ask(VECTORS, batch("a", "b"))
        reached()
        caller.leave()
        leaving.get("/health/live")
    until(gates.is_over)
    assert (leaving.get("/v1/stats")["in_flight"], provider.calls()) == (0, 2)


def test_while_the_management_api_is_at_it(leaving: Proxy, gates: Gates) -> None:
    with gates.closed("_managed") as reached, socket.create_connection(("127.0.0.1", leaving.port)) as connection:
        connection.sendall(f"GET /v1/stats HTTP/1.1\r\nhost: 127.0.0.1:{leaving.port}\r\n\r\n".encode())
        reached()
    until(gates.is_over)


def test_while_an_answer_is_kept(leaving: Proxy, caller: Caller, gates: Gates) -> None:
    with gates.closed("remember") as reached:
        caller.ask(CHAT, asked())
        reached()
        caller.leave()
        leaving.get("/health/live")
    until(gates.is_over)
    assert leaving.get("/v1/stats")["in_flight"] == 0


def test_before_the_provider_speaks(leaving: Proxy, provider: Provider, caller: Caller, gates: Gates) -> None:
    provider.set(is_held=True)
    caller.ask(CHAT, asked())
    until(provider.calls)
    caller.leave()
    until(gates.is_over)  # though the provider says nothing
    until(lambda: provider.stats()["left"] == 1)


def test_while_a_websocket_is_open(leaving: Proxy, provider: Provider, gates: Gates, api_key: str) -> None:
    with Caller(leaving, api_key, is_http2=False) as caller:
        upgrade = ("connection: Upgrade", "upgrade: websocket", "sec-websocket-version: 13")
        key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=="
        head = [
            "GET /v1/responses HTTP/1.1",
            f"host: {HOST}",
            *upgrade,
            key,
            f"authorization: Bearer {api_key}",
            "",
            "",
        ]
        caller._socket.sendall("\r\n".join(head).encode())
        assert caller._socket.recv(65536).startswith(b"HTTP/1.1 101 ")
    until(gates.is_over)
    assert leaving.get("/v1/stats")["in_flight"] == 0


def test_a_stop_waits_for_none_of_them(leaving: Proxy) -> None:
    leaving.stop()
    assert "still in flight" not in leaving.log()
