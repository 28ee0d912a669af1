"""Callers who do not read: what was sent to them waits, whole, and nobody else does."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import h2.config
import h2.connection
import h2.events
import pytest
from tests.e2e.conftest import Provider
from tests.e2e.raw import read_message
from tests.support.plain import IS_PLAIN
from tests.support.waiting import PATIENCE, until

if TYPE_CHECKING:
    from tests.e2e.conftest import Proxy, StartProxy

PATH = "/v1/chat/completions"
RULES = """
version: 1
limits: {max_held: 24MiB}
defaults: {max_answer: 8MiB}
upstreams:
  - {name: openai, hosts: [api.openai.com], paths: [/v1/chat/completions], wire: openai-chat}
  - name: plain
    hosts: [api.groq.com]
    upstream: http://127.0.0.1:%d
    paths: [/v1/chat/completions]
    wire: openai-chat
"""
LONG = "word " * 300_000
LONGER = "word " * 1_200_000
"""More than the system keeps of a connection whose other end does not read."""


def body(question: str, **more: Any) -> bytes:
    return json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": question}], **more}).encode()


def completion(text: str) -> str:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return json.dumps({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]})


def events(text: str) -> str:
    """The same in a stream."""
    choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    event = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n"


@pytest.fixture(scope="module")
def plain_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    started = Provider(tmp_path_factory.mktemp("plain"), None)
    started.wait_until_ready()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def proxy(start_module_proxy: StartProxy, plain_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Proxy:
    rules = tmp_path_factory.mktemp("rules") / "rules.yaml"
    rules.write_text(RULES % plain_provider.port)
    return start_module_proxy(rules=rules)


def secured(proxy: Proxy, host: str, protocol: str) -> ssl.SSLSocket:
    raw = socket.socket()
    raw.settimeout(PATIENCE)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)  # else some systems keep dozens of megabytes
    raw.connect(("127.0.0.1", proxy.port))
    raw.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
    assert b" 200 " in raw.recv(4096)
    trusting = ssl.create_default_context(cafile=str(proxy.bundle))
    trusting.set_alpn_protocols([protocol])
    return trusting.wrap_socket(raw, server_hostname=host)


class Http2:
    """A client that opens the window of a stream only while it reads that."""

    def __init__(self, proxy: Proxy, host: str, key: str) -> None:
        self._socket, self._host, self._key = secured(proxy, host, "h2"), host, key
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(1 << 30)
        self.came: dict[int, int] = {}
        """Bytes that were sent of each stream, read or not."""
        self._unread: dict[int, list[bytes]] = {}
        self._ended = set[int]()

    def ask(self, question: str, **more: Any) -> int:
        stream = self._h2.get_next_available_stream_id()
        pseudo = ((":method", "POST"), (":scheme", "https"), (":authority", self._host), (":path", PATH))
        self._h2.send_headers(stream, (*pseudo, ("authorization", f"Bearer {self._key}")))
        self._h2.send_data(stream, body(question, **more), end_stream=True)
        self._flush()
        return stream

    def hear(self, enough: int, stream: int) -> None:
        """Listen, reading nothing, until so many bytes of a stream came."""
        while self.came.get(stream, 0) < enough:
            self._listen()

    def read(self, stream: int) -> bytes:
        """A stream's body to its end."""
        parts = list[bytes]()
        while True:
            for part in self._unread.pop(stream, []):
                parts.append(part)
                if stream not in self._ended:
                    self._h2.acknowledge_received_data(len(part), stream)
            self._flush()
            if stream in self._ended:
                return b"".join(parts)
            self._listen()

    def _listen(self) -> None:
        data = self._socket.recv(65536)
        assert data, "the connection was closed"
        for event in self._h2.receive_data(data):
            if isinstance(event, h2.events.DataReceived):
                self._unread.setdefault(event.stream_id, []).append(event.data)
                self.came[event.stream_id] = self.came.get(event.stream_id, 0) + len(event.data)
            elif isinstance(event, h2.events.StreamEnded):
                self._ended.add(event.stream_id)
            assert not isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated)
        self._flush()

    def _flush(self) -> None:
        if data := self._h2.data_to_send():
            self._socket.sendall(data)

    def close(self) -> None:
        self._socket.close()


@pytest.mark.parametrize("host", ["api.openai.com", "api.groq.com"], ids=["an HTTP/2 provider", "an HTTP/1 provider"])
def test_a_stream_that_is_not_read_waits_and_no_other_does(
    host: str, proxy: Proxy, provider: Provider, plain_provider: Provider, api_key: str
) -> None:
    asked = provider if host == "api.openai.com" else plain_provider
    first, second = completion(LONG + "one"), completion(LONG + "two")
    with contextlib.closing(Http2(proxy, host, api_key)) as client:
        asked.script(first)
        unread = client.ask("What is one?")
        client.hear(65535, unread)  # all that its window lets through
        for _ in range(2):
            asked.script(second)
        for question in ("What is two?", "What is two and two?"):
            assert client.read(client.ask(question)) == second.encode()
        assert client.came[unread] == 65535
        assert client.read(unread) == first.encode()
    proxy.settle()


@pytest.mark.parametrize("streamed", [True, False], ids=["heard", "awaited"])
@pytest.mark.parametrize("protocol", ["h2", "http/1.1"], ids=["HTTP/2", "HTTP/1"])
@pytest.mark.parametrize("host", ["api.openai.com", "api.groq.com"], ids=["an HTTP/2 provider", "an HTTP/1 provider"])
@pytest.mark.parametrize("early", [True, False], ids=["early", "late"])
def test_who_asks_the_same_does_not_wait_until_the_first_one_reads(
    host: str,
    protocol: str,
    streamed: bool,
    early: bool,
    proxy: Proxy,
    provider: Provider,
    plain_provider: Provider,
    api_key: str,
) -> None:
    if IS_PLAIN and protocol == "http/1.1":
        pytest.skip("mitmproxy as it is reads no more of an answer than its caller does; the fast lane does")
    asked = provider if host == "api.openai.com" else plain_provider
    question, more = "What is one?", {"stream": True} if streamed else {}
    whole = events(LONGER) if streamed else completion(LONGER)
    asked.reset()
    asked.script(whole, headers={"content-type": "text/event-stream" if streamed else "application/json"}, held=True)
    with contextlib.ExitStack() as stack:
        if protocol == "h2":
            client = stack.enter_context(contextlib.closing(Http2(proxy, host, api_key)))
            unread = client.ask(question, **more)
        else:
            first = stack.enter_context(asking(proxy, api_key, question, host, **more))
        until(lambda: asked.calls() == 1)
        if early:
            other = stack.enter_context(asking(proxy, api_key, question, host, **more))
            proxy.until_in_flight(2)
        asked.release(1)
        if not early:
            if protocol == "h2":
                client.hear(65535, unread)  # all that its window lets through
            else:
                select.select([first], [], [])
            other = stack.enter_context(asking(proxy, api_key, question, host, **more))
        assert read_message(other)[2].count(b"word") == LONGER.count("word")
        assert asked.calls() == 1
        assert (client.read(unread) if protocol == "h2" else read_message(first)[2]) == whole.encode()
    proxy.settle()


@contextlib.contextmanager
def asking(proxy: Proxy, key: str, question: str, host: str = "api.openai.com", **more: Any) -> Iterator[ssl.SSLSocket]:
    """A caller who has asked and not read yet."""
    content = body(question, **more)
    with secured(proxy, host, "http/1.1") as connection:
        head = f"POST {PATH} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n"
        connection.sendall(head.encode() + b"Content-Length: %d\r\n\r\n" % len(content) + content)
        yield connection


def test_more_hits_than_are_read_are_none(proxy: Proxy, provider: Provider, api_key: str) -> None:
    """A hit is held until it is read; where those are many the provider is asked, who waits for his caller."""
    question, long = "What is long?", completion(LONGER)
    provider.script(long)
    with asking(proxy, api_key, question) as connection:
        assert read_message(connection)[2] == long.encode()
    proxy.settle()

    def is_decided() -> bool:
        return provider.calls() == 2 or hits() == before + asked

    def hits() -> int:
        return int(proxy.get("/v1/stats")["outcomes"]["exact"])

    before, asked = hits(), 0
    with contextlib.ExitStack() as unread:
        while provider.calls() == 1:
            provider.script(long)
            unread.enter_context(asking(proxy, api_key, question))
            asked += 1
            until(is_decided)
            assert asked < 10, "every one of them was a hit"
    assert asked > 1
    with asking(proxy, api_key, question) as connection:  # they have left: there is room again
        assert "; hit" in read_message(connection)[1]["cache-status"]
