"""mitmproxy's requests and what is changed of them on their way to the provider."""

import pytest
from mitmproxy import http

from askonce.proxy import messages
from askonce.rules.request_headers import OURS


def request(*fields: tuple[bytes, bytes], url: str = "https://api.openai.com/v1/chat/completions") -> http.Request:
    made = http.Request.make("POST", url, b"{}")
    made.headers = http.Headers([(b"Host", b"api.openai.com"), *fields])
    return made


@pytest.mark.parametrize("name", sorted(OURS))
def test_headers_for_askonce_do_not_reach_the_provider(name: str) -> None:
    asked = request((name.title().encode(), b"a"), (b"Authorization", b"Bearer k"), (name.encode(), b"b"))
    messages.strip_directives(asked, ())
    assert asked.headers.fields == ((b"Host", b"api.openai.com"), (b"Authorization", b"Bearer k"))


def test_a_request_without_any_stays_as_it_is() -> None:
    asked = request((b"X-Title", b"caf\xe9"), (b"x-title", b"again"))
    before = asked.headers.fields
    messages.strip_directives(asked, ())
    assert asked.headers.fields is before


def test_what_a_signature_covers_stays() -> None:
    asked = request((b"Cache-Control", b"no-cache"), (b"x-cache-namespace", b"a"))
    messages.strip_directives(asked, {"cache-control", "host"})
    assert asked.headers.fields[1:] == ((b"Cache-Control", b"no-cache"),)


@pytest.mark.parametrize(
    ("scheme", "host", "port", "named"),
    [
        ("http", "127.0.0.1", 8080, "127.0.0.1:8080"),
        ("https", "gateway.example", 443, "gateway.example"),
        ("http", "gateway.example", 443, "gateway.example:443"),
    ],
)
def test_a_request_sent_elsewhere_names_the_server_that_it_goes_to(
    scheme: str, host: str, port: int, named: str
) -> None:
    asked = request()
    asked.authority = "api.openai.com"  # as HTTP/2 has it
    messages.send_to(asked, scheme, host, port)
    assert (asked.scheme, asked.host, asked.port) == (scheme, host, port)
    assert (asked.headers["host"], asked.authority) == (named, named)


@pytest.mark.parametrize(
    ("fields", "cookie"),
    [
        ([(b"Cookie", b"a=1; b=2")], "a=1; b=2"),
        ([(b"cookie", b"AWSALB=x"), (b"Cookie", b"session=ann")], "AWSALB=x; session=ann"),
        ([(b"cookie", b"a=1"), (b"x-list", b"1"), (b"cookie", b"b=2"), (b"cookie", b"c=3")], "a=1; b=2; c=3"),
    ],
)
def test_cookies_that_a_client_splits_are_one_header(fields: list[tuple[bytes, bytes]], cookie: str) -> None:
    """RFC 9113 section 8.2.3; with a comma between, the second was read as a part of the first one's value."""
    read = messages.read_request(request(*fields, (b"X-List", b"2")), "api.openai.com", b"")
    assert read.headers["cookie"] == cookie
    assert read.headers["x-list"] in ("2", "1, 2")


def test_a_request_says_to_which_port_and_how() -> None:
    asked = request(url="http://localhost:11434/api/chat?a=1")
    read = messages.read_request(asked, "localhost", b"")
    assert (read.scheme, read.port, read.path, read.query) == ("http", 11434, "/api/chat", "a=1")
    other = request(url="http://localhost:11435/api/chat?a=1")
    assert read.raw != messages.read_request(other, "localhost", b"").raw
