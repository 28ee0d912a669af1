"""Ways through the proxy to where nobody is to come: the proxy itself, this machine, and the networks around it.

One rule: what is asked for is a place of this machine, or one to which nothing is ever sent.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.attack.attack import Attack
from tests.attack.target import Target, rules

_SPELLINGS = ("127.1", "localhost", "127.0.0.2", "0.0.0.0", "[::ffff:127.0.0.1]", "2130706433", "0x7f000001", "localhost.")  # fmt: skip  # noqa: E501
"""Of our own address."""
_MOMENT = 10.0
"""Seconds; what an answer to an odd request may take before it is left."""


def own_addresses(target: Target) -> int:
    """Requests through the proxy to the proxy, under other names of its address."""
    for name in _SPELLINGS:
        with contextlib.suppress(OSError), target.connect() as connection:
            connection.settimeout(_MOMENT)
            host = f"{name}:{target.proxy.port}"
            connection.sendall(f"GET http://{host}/nothing HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            connection.recv(65536)
    return 0


def own_tunnels(target: Target) -> int:
    """How many tunnels through the proxy to the proxy are open to a call that only this machine may make."""
    opened = 0
    for name in _SPELLINGS:
        with contextlib.suppress(OSError), target.connect() as connection:
            connection.settimeout(_MOMENT)
            host = f"{name}:{target.proxy.port}"
            connection.sendall(f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            if b" 200 " not in connection.recv(65536):
                continue
            content = b'{"dep_id":"doc:1"}'
            head = f"POST /v1/invalidate HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            connection.sendall(head.encode() + b"Content-Length: %d\r\n\r\n" % len(content) + content)
            opened += b" 200 " in connection.recv(65536).partition(b"\r\n")[0]
    return opened


class _Canary(ThreadingHTTPServer):
    """A service of this machine's that nobody outside is to reach."""

    daemon_threads = True

    def __init__(self) -> None:
        self.reached = 0
        super().__init__(("127.0.0.1", 0), _Reached)


class _Reached(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, _Canary)
        self.server.reached += 1
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


def open_door(target: Target) -> int:
    """How often a proxy that listens for others lets one who is not on this machine reach a service that is."""
    proxy = target.start("open", listen="0.0.0.0", environment={"ASKONCE_TOKEN": "t" * 32}, rules=rules())
    with target.watched(proxy), _Canary() as canary:
        threading.Thread(target=canary.serve_forever, args=(0.02,)).start()
        for name in ("127.0.0.1", *_SPELLINGS):
            host = f"{name}:{canary.server_port}"
            with contextlib.suppress(OSError), socket.create_connection((_own_address(), proxy.port)) as connection:
                connection.settimeout(_MOMENT)
                connection.sendall(f"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                connection.recv(65536)
        canary.shutdown()
        return canary.reached


_INSIDE = ("[64:ff9b::7f00:1]", "[::127.0.0.1]", "[64:ff9b::a00:1]", "[2002:7f00:1::]", "169.254.169.254", "10.0.0.1", "168.63.129.16")  # fmt: skip  # noqa: E501
"""Private places in forms that look public, and those of clouds."""


def forms_of_addresses(target: Target) -> int:
    """How many private places a proxy that listens for others does not refuse."""
    proxy = target.start("forms", listen="0.0.0.0", environment={"ASKONCE_TOKEN": "t" * 32}, rules=rules())
    with target.watched(proxy) as open_for_others:
        return sum(not _is_refused(open_for_others, host) for host in _INSIDE)


def _is_refused(target: Target, host: str) -> bool:
    with contextlib.suppress(OSError), target.connect() as connection:
        connection.settimeout(_MOMENT)
        connection.sendall(f"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        return connection.recv(65536).startswith(b"HTTP/1.1 403 ")
    return False


def _own_address() -> str:
    """An address of this machine that is not loopback; loopback where it has no other."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1: nothing is sent, but the kernel says from where it would be
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


ATTACKS = (
    Attack("own addresses", f"{len(_SPELLINGS)} spellings of its own address, to itself", own_addresses),
    Attack("own tunnels", "a tunnel to itself, to be taken for this machine", own_tunnels),
    Attack("an open door", "a service of this machine, asked for from outside it", open_door),
    Attack("forms of addresses", "private places in NAT64 and other forms", forms_of_addresses),
)
