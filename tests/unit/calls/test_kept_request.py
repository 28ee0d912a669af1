"""What is kept of a request to compare it with later ones."""

import json
import os

from askonce.call import Request
from askonce.calls.kept_request import pack, unpack


def request(body: bytes) -> Request:
    return Request("POST", "api.openai.com", "/v1/chat/completions", "", {}, body)


def test_a_body_comes_back_as_it_was() -> None:
    body = b'{"model":"m","seed":1.50,"messages":[{"role":"user","content":"h\\u00e9"}]}'
    kept = unpack(pack(request(body), {}))
    assert kept and kept.path == "/v1/chat/completions"
    assert kept.body["messages"][0]["content"] == "h\u00e9" and repr(kept.body["seed"]) == "1.50"


def test_no_secret_is_kept_wherever_it_stood() -> None:
    server = {"type": "mcp", "authorization": "t0p", "headers": {"X-Api-Key": "t0p", "Accept": "*/*"}}
    body = {"tools": [server], "mcp_servers": [{"authorization_token": "t0p"}], "max_tokens": 5, "apiKey": ["kept"]}
    kept = unpack(pack(request(json.dumps(body).encode()), {}))
    assert kept and "t0p" not in json.dumps(kept.body)
    assert kept.body["max_tokens"] == 5 and kept.body["tools"][0]["headers"]["Accept"] == "*/*"


def test_headers_can_be_told_apart_and_not_read() -> None:
    first, again, other = (unpack(pack(request(b"{}"), {"x-job": job})) for job in ("sesame", "sesame", "open"))
    assert first and again and other
    assert first.headers == again.headers != other.headers
    assert {len(digest) for digest in first.headers.values()} == {4}


def test_what_is_not_kept() -> None:
    for body in (b"", b"no JSON", b'"\\ud800"', b'{"image":"' + os.urandom(300_000).hex().encode() + b'"}'):
        assert pack(request(body), {}) == b""
    assert pack(request(b" " * (4 << 20) + b"{}"), {}) == b""
    assert unpack(b"") is None
