"""Clients of whom nothing comes are let go of; those who are slow, or wait for a slow provider, are not."""

from __future__ import annotations

import contextlib
import json
import select
import signal
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING

import h2.config
import h2.connection
import httpx
import pytest
from tests.e2e.conftest import until
from tests.e2e.raw import PATIENCE, Origin, connect, read_message, read_to_end

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Proxy, StartProxy

PATH = "/v1/chat/completions"
HEADER, BODY, IDLE, MOST = 0.8, 0.8, 1.6, 6
LONG = 2.5
"""Seconds: longer than any of them."""
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with contextlib.closing(Origin()) as server:
        yield server


@pytest.fixture(scope="module")
def proxy(origin: Origin, start_module_proxy: StartProxy, tmp_path_factory: pytest.TempPathFactory) -> Proxy:
    rules = tmp_path_factory.mktemp("rules") / "rules.yaml"
    hosts = [f"http://127.0.0.1:{origin.port}", "api.openai.com"]
    rule = {"name": "raw", "hosts": hosts, "paths": [PATH], "wire": "openai-chat"}
    limits = {"header_timeout": HEADER, "body_timeout": BODY, "idle_timeout": IDLE}
    rules.write_text(json.dumps({"version": 1, "defaults": {"audit": 0}, "upstreams": [rule], "limits": limits}))
    return start_module_proxy(rules=rules)


@pytest.fixture(autouse=True)
def _clean(origin: Origin) -> None:
    origin.reset()


def head(origin: Origin, length: int, method: bytes = b"POST") -> bytes:
    place = origin.port, PATH.encode(), origin.port, length
    return method + b" http://127.0.0.1:%d%s HTTP/1.1\r\nhost: 127.0.0.1:%d\r\ncontent-length: %d\r\n\r\n" % place


def seconds_until_closed(connection: socket.socket) -> float:
    begun = time.monotonic()
    read_to_end(connection)
    return time.monotonic() - begun


def settled(proxy: Proxy) -> None:
    until(lambda: proxy.get("/v1/stats")["in_flight"] == 0)


# Those who never come to the end of a head


def test_a_connection_on_which_nothing_comes(proxy: Proxy) -> None:
    with connect(proxy.port) as connection:
        assert HEADER * 0.9 <= seconds_until_closed(connection) < PATIENCE


def test_a_head_that_comes_by_the_byte(proxy: Proxy, origin: Origin) -> None:
    with connect(proxy.port) as connection, contextlib.suppress(OSError):
        begun = time.monotonic()
        for byte in head(origin, 3) * 10:  # in time it would come to its end
            connection.sendall(bytes([byte]))
            time.sleep(0.05)
        pytest.fail("nobody hung up")
    assert HEADER * 0.9 <= time.monotonic() - begun < PATIENCE


def test_the_second_head_of_a_connection(proxy: Proxy, origin: Origin) -> None:
    with connect(proxy.port) as connection:
        origin.answer(OK)
        connection.sendall(head(origin, 2) + b"{}")
        assert read_message(connection)[0] == 200
        connection.sendall(b"POST /half")
        assert HEADER * 0.9 <= seconds_until_closed(connection) < PATIENCE


def test_a_tunnel_in_which_nothing_comes(proxy: Proxy) -> None:
    with connect(proxy.port) as connection:
        connection.sendall(b"CONNECT api.openai.com:443 HTTP/1.1\r\nhost: api.openai.com:443\r\n\r\n")
        read_message(connection, no_body=True)
        assert HEADER * 0.9 <= seconds_until_closed(connection) < PATIENCE


def tls(proxy: Proxy, connection: socket.socket, *protocols: str) -> ssl.SSLSocket:
    connection.sendall(b"CONNECT api.openai.com:443 HTTP/1.1\r\nhost: api.openai.com:443\r\n\r\n")
    read_message(connection, no_body=True)
    trust = ssl.create_default_context(cafile=str(proxy.bundle))
    trust.set_alpn_protocols(protocols)
    return trust.wrap_socket(connection, server_hostname="api.openai.com")


def test_tls_in_which_nothing_comes(proxy: Proxy) -> None:
    with connect(proxy.port) as connection, tls(proxy, connection, "http/1.1") as secure:
        assert HEADER * 0.9 <= seconds_until_closed(secure) < PATIENCE


# Those who never come to the end of a body


@pytest.mark.parametrize("method", [b"POST", b"PUT"])  # one is held, the other is passed on at once
def test_a_body_that_stands_still(method: bytes, proxy: Proxy, origin: Origin) -> None:
    with connect(proxy.port) as connection:
        connection.sendall(head(origin, 100, method) + b"{")
        assert BODY * 0.9 <= seconds_until_closed(connection) < PATIENCE
    settled(proxy)


@pytest.mark.parametrize("method", [b"POST", b"PUT"])
def test_a_slow_upload_is_not_cut(method: bytes, proxy: Proxy, origin: Origin) -> None:
    origin.answer(OK)
    with connect(proxy.port) as connection:
        connection.sendall(head(origin, 10, method))
        for _ in range(10):
            connection.sendall(b"x")
            time.sleep(LONG / 10)
        assert read_message(connection)[0] == 200
    assert origin.requests[-1].endswith(b"x" * 10)


def test_what_stands_still_because_the_provider_does_not_read_is_not_cut(proxy: Proxy) -> None:
    size = 32 << 20
    with socket.create_server(("127.0.0.1", 0)) as listener, connect(proxy.port) as connection:
        port = listener.getsockname()[1]
        connection.sendall(
            b"PUT http://127.0.0.1:%d/x HTTP/1.1\r\nhost: 127.0.0.1:%d\r\ncontent-length: %d\r\n\r\n"
            % (port, port, size)
        )
        sender = threading.Thread(target=connection.sendall, args=(bytes(size),))
        sender.start()
        provider, _ = listener.accept()
        provider.settimeout(PATIENCE)
        with provider:
            time.sleep(LONG)
            received = 0
            while received < size:
                received += len(provider.recv(1 << 20))
            provider.sendall(OK)
            sender.join(PATIENCE)
            assert read_message(connection)[0] == 200


# Those who wait


def test_who_waits_for_a_slow_provider_is_not_cut(proxy: Proxy, origin: Origin) -> None:
    ready = threading.Event()
    threading.Timer(LONG, ready.set).start()
    origin.answer(ready, b"HTTP/1.1 200 OK\r\n", b"content-length: 2\r\n\r\n{}")
    with connect(proxy.port) as connection:
        connection.sendall(head(origin, 2) + b"{}")
        assert read_message(connection)[0] == 200


def test_a_connection_that_is_kept_is_closed_once_it_was_idle_for_long(proxy: Proxy, origin: Origin) -> None:
    with connect(proxy.port) as connection:
        for _ in range(2):
            origin.answer(OK)
            connection.sendall(head(origin, 2) + b"{}")
            assert read_message(connection)[0] == 200
            time.sleep((HEADER + IDLE) / 2 - 0.3)
        assert seconds_until_closed(connection) < PATIENCE


def test_another_protocol_is_left_alone(proxy: Proxy, origin: Origin) -> None:
    later = threading.Event()
    threading.Timer(LONG, later.set).start()
    origin.answer(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n", later, b"hello")
    with connect(proxy.port) as connection:
        request = (
            b"GET http://127.0.0.1:%d/x HTTP/1.1\r\nhost: 127.0.0.1:%d\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"
        )
        connection.sendall(request % (origin.port, origin.port))
        assert read_message(connection, no_body=True)[0] == 101
        assert connection.recv(10) == b"hello"


def test_a_tunnel_to_a_host_that_no_rule_names_is_left_alone(proxy: Proxy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, connect(proxy.port) as connection:
        port = listener.getsockname()[1]
        connection.sendall(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n\r\n" % (port, port))
        read_message(connection, no_body=True)
        connection.sendall(b"\x00not http")
        other, _ = listener.accept()
        with other:
            other.settimeout(PATIENCE)
            assert other.recv(100) == b"\x00not http"
            time.sleep(LONG)
            other.sendall(b"pong")
            assert connection.recv(100) == b"pong"


# HTTP/2


def speaker() -> h2.connection.H2Connection:
    made = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    made.initiate_connection()
    return made


def seconds_until_gone(connection: ssl.SSLSocket, client: h2.connection.H2Connection) -> float:
    """Until it is closed, though the client says time and again that it is there."""
    begun = time.monotonic()
    connection.settimeout(0.2)
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while time.monotonic() - begun < PATIENCE:
            client.ping(b"are you?")
            connection.sendall(client.data_to_send())
            with contextlib.suppress(TimeoutError):
                if not connection.recv(65536):
                    break
    return time.monotonic() - begun


def test_http_2_without_a_request(proxy: Proxy) -> None:
    with connect(proxy.port) as raw, tls(proxy, raw, "h2") as connection:
        assert HEADER * 0.9 <= seconds_until_gone(connection, speaker()) < PATIENCE


def test_http_2_with_a_body_that_stands_still(proxy: Proxy) -> None:
    with connect(proxy.port) as raw, tls(proxy, raw, "h2") as connection:
        client = speaker()
        fields = [(":method", "POST"), (":scheme", "https"), (":authority", "api.openai.com"), (":path", PATH)]
        client.send_headers(1, fields)
        client.send_data(1, b"{")
        assert BODY * 0.9 <= seconds_until_gone(connection, client) < PATIENCE
    settled(proxy)


# Connections


@pytest.fixture
def crowded(start_proxy: StartProxy, tmp_path_factory: pytest.TempPathFactory) -> Proxy:
    rules = tmp_path_factory.mktemp("rules") / "rules.yaml"
    rule = {"name": "raw", "hosts": ["api.openai.com"], "paths": [PATH], "wire": "openai-chat"}
    rules.write_text(json.dumps({"version": 1, "upstreams": [rule], "limits": {"connections_per_client": MOST}}))
    return start_proxy(rules=rules)


def test_one_address_has_no_more_connections_than_its_share(crowded: Proxy) -> None:
    def is_served(connection: socket.socket) -> bool:
        with contextlib.suppress(OSError, EOFError):
            connection.sendall(b"GET /health/live HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n\r\n" % crowded.port)
            return read_message(connection)[0] == 200
        return False

    with contextlib.ExitStack() as stack:
        greedy = [stack.enter_context(connect(crowded.port, source_address=("127.0.0.2", 0))) for _ in range(MOST + 3)]
        assert [is_served(connection) for connection in greedy] == [True] * MOST + [False] * 3
        with connect(crowded.port, source_address=("127.0.0.3", 0)) as other:
            assert is_served(other)
        greedy[0].close()

        def is_room() -> bool:
            with connect(crowded.port, source_address=("127.0.0.2", 0)) as another:
                return is_served(another)

        until(is_room)
    assert "127.0.0.2: more than 6 connections (limits.connections_per_client)" in crowded.log()
    assert "127.0.0.3" not in crowded.log()


def test_limits_are_taken_up_while_the_proxy_runs(crowded: Proxy) -> None:
    with connect(crowded.port, source_address=("127.0.0.2", 0)) as connection:
        rules = json.loads(crowded.rules.read_text())
        crowded.rules.write_text(json.dumps(rules | {"limits": {"header_timeout": "200ms"}}))
        httpx.post(f"{crowded.url}/v1/reload", trust_env=False).raise_for_status()
        assert seconds_until_closed(connection) < PATIENCE


def test_connections_that_come_while_the_proxy_is_busy_are_not_sent_away(proxy: Proxy) -> None:
    """A hundred and twenty come at once: more than asyncio's own hundred, fewer than the least that a kernel allows."""
    with contextlib.ExitStack() as many:
        proxy.process.send_signal(signal.SIGSTOP)
        many.callback(proxy.process.send_signal, signal.SIGCONT)
        coming = [many.enter_context(socket.socket()) for _ in range(120)]
        for connection in coming:
            connection.setblocking(False)
            connection.connect_ex(("127.0.0.1", proxy.port))
        until(lambda: len(select.select([], coming, [], 0)[1]) == len(coming))
        proxy.process.send_signal(signal.SIGCONT)
        for connection in coming[:MOST]:
            connection.settimeout(PATIENCE)
            connection.sendall(b"GET /health/live HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
            assert read_message(connection)
