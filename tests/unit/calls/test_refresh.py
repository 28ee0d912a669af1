"""Where a call is sent again, and over what."""

import gzip
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
import trustme

from askonce.call import Request
from askonce.calls.limits import Limits
from askonce.calls.refresh import Refresher, address
from askonce.rules import Document, LimitsSpec, Rules


@pytest.mark.parametrize(
    ("hosts", "host", "expected"),
    [
        ("[api.example.com]", "api.example.com", "https://api.example.com:443/v1/chat?a=b%20c"),
        ("['*.example.com:8443']", "eu.example.com", "https://eu.example.com:8443/v1/chat?a=b%20c"),
        ("['http://localhost:11434', other]", "localhost", "http://localhost:11434/v1/chat?a=b%20c"),
        ("[api.example.com, '*.example.com']", "api.example.com", "https://api.example.com:443/v1/chat?a=b%20c"),
        ("['http://localhost:1', 'http://localhost:2']", "localhost", None),
        ("[api.example.com, 'http://api.example.com']", "api.example.com", None),
    ],
)
def test_the_rule_tells_scheme_and_port_unless_it_leaves_them_open(hosts: str, host: str, expected: str | None) -> None:
    (rule,) = Rules(
        Document.parse(
            f"version: 1\nupstreams:\n  - {{name: a, hosts: {hosts}, paths: [/v1/chat], wire: openai-chat}}\n"
        )
    )
    assert address(rule, Request("POST", host, "/v1/chat", "a=b%20c", {}, b"")) == expected


class _Proxy(BaseHTTPRequestHandler):
    """Answers like a proxy, with a cookie of the provider's, and keeps what it was sent by connection."""

    protocol_version = "HTTP/1.1"
    body: ClassVar[bytes] = b"{}"
    headers_too: ClassVar[dict[str, str]] = {}
    seen: ClassVar[list[tuple[tuple[str, int], str, dict[str, str]]]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.seen.append((self.client_address, self.path, {k.lower(): v for k, v in self.headers.items()}))
        self.send_response(200)
        self.send_header("set-cookie", "session=of-the-first-caller; Path=/")
        for name, value in self.headers_too.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


async def _here[R](work: Callable[[], R], /) -> R:
    return work()


@pytest.fixture
def proxy() -> Iterator[str]:
    _Proxy.seen.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


async def test_connections_are_kept_and_nothing_else(proxy: str, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    (rule,) = Rules(
        Document.parse(
            "version: 1\nupstreams:\n  - {name: a, hosts: ['http://api.test'], paths: [/v1/chat], wire: openai-chat}\n"
        )
    )
    refresher = Refresher(proxy, tmp_path / "ca.pem", _here)

    def asked(by: str) -> Request:
        return Request("POST", "api.test", "/v1/chat", "", {"authorization": f"Bearer {by}", "connection": "x"}, b"{}")

    await refresher(rule, asked("one"))
    reply = await refresher.reply(rule, asked("two"))
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    await refresher(rule, asked("three"))
    await refresher.close()

    assert (reply.status, reply.body) == (200, b"{}")
    (one, path, first), (two, _, second), (three, _, _) = _Proxy.seen
    assert one == two != three, "a new authority takes a new connection, another call does not"
    assert path == "http://api.test/v1/chat"
    assert (first["authorization"], second["authorization"]) == ("Bearer one", "Bearer two")
    assert second == {
        "host": "api.test",
        "authorization": "Bearer two",
        "cache-control": "no-cache",
        "content-length": "2",
    }, "no cookie of another caller, and no header that the caller did not send"


@pytest.mark.parametrize(
    ("limit", "told"), [("max_body", "larger than limits.max_body"), ("max_decoded", "decodes to more")]
)
async def test_an_answer_is_read_no_further_than_its_limit_and_decoded_apart(
    proxy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, told: str
) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    (rule,) = Rules(
        Document.parse(
            "version: 1\nupstreams:\n  - {name: a, hosts: ['http://api.test'], paths: [/v1/chat], wire: openai-chat}\n"
        )
    )
    apart = 0

    async def compute[R](work: Callable[[], R], /) -> R:
        nonlocal apart
        apart += 1
        return work()

    monkeypatch.setattr(_Proxy, "body", gzip.compress(bytes(1 << 20)))
    monkeypatch.setattr(_Proxy, "headers_too", {"content-encoding": "gzip"})
    request = Request("POST", "api.test", "/v1/chat", "", {}, b"{}")
    refresher = Refresher(proxy, tmp_path / "ca.pem", compute)
    assert (await refresher.reply(rule, request)).body == bytes(1 << 20)
    monkeypatch.setattr(Limits, "in_force", LimitsSpec.model_validate({limit: 512}))
    with pytest.raises(ValueError, match=told):
        await refresher.reply(rule, request)
    await refresher.close()
    assert apart == (2 if limit == "max_decoded" else 1)
