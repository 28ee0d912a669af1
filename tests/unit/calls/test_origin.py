"""Whose call it is, by the head of its request."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy.net.check import is_valid_host
from mitmproxy.net.http.url import parse_authority

from askonce.calls.origin import Arrival, decide, is_own_name
from askonce.rules import Document, Rules

PATH = "/v1/chat/completions"
RULES = Rules(
    Document.parse(
        f"""\
version: 1
upstreams:
  - {{name: chat, hosts: [api.example.com, "*.wild.example.com"], paths: [{PATH}], wire: openai-chat}}
  - {{name: numbered, hosts: ["http://192.0.2.9:8000"], paths: [{PATH}], wire: openai-chat}}
  - {{name: local, hosts: ["http://localhost:11434"], paths: [{PATH}], wire: openai-chat}}
  - {{name: beta, hosts: [beta.example.com], paths: [{PATH}], wire: openai-chat, when: {{x-beta: "yes"}}}}
manage: {{host: askonce.internal, aliases: [cachebox]}}
"""
    )
)
OWN = ("10.0.0.2", 8080)


def arrival(url: str, *, sni: str | None = None, named: str | None = None, via: str = "proxy", **heads: str) -> Arrival:
    """A POST to `url`, with the Host header `named` (the URL's own by default); `via`: "proxy", or "direct"."""
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    host, _, port = authority.rpartition(":")
    fields = {name.replace("_", "-").encode(): value.encode() for name, value in heads.items()}
    fields[b"host"] = (authority if named is None else named).encode()
    return Arrival(
        scheme, host.strip("[]"), int(port), slash + path, b"POST", fields, "", sni, OWN, direct=via == "direct"
    )


def whose(asked: Arrival) -> str:
    """The rule's name, "ours", or "" for nobody's; and the protocol."""
    origin = decide(asked, RULES)
    name = "ours" if origin.managed else origin.rule.name if origin.rule else ""
    return f"{name} {origin.protocol}".strip()


API, WILD = f"https://api.example.com:443{PATH}", f"https://a.b.wild.example.com:443{PATH}"
BY_ADDRESS = f"https://192.0.2.1:443{PATH}"
HEALTH = "/health/live"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        # The name that TLS verifies, and the Host header
        (arrival(API, sni="api.example.com"), "chat"),
        (arrival(API, sni="API.example.com"), "chat"),
        (arrival(API.replace("api", "API"), sni="api.example.com"), "chat"),
        (arrival(API, sni="api.example.com", named="API.Example.com"), "chat"),
        (arrival(API, sni="api.example.com", named="api.example.com:443"), "chat"),
        (arrival(API, sni="api.example.com", named=""), "chat"),
        (arrival(WILD, sni="a.b.wild.example.com"), "chat"),
        (arrival(BY_ADDRESS, sni="api.example.com", named="api.example.com"), "chat"),
        (arrival(BY_ADDRESS, sni="evil.example", named="api.example.com"), ""),
        (arrival(BY_ADDRESS, named="api.example.com"), ""),
        (arrival(API, sni="evil.example"), ""),
        (arrival(API.replace("api", "evil"), sni="api.example.com", named="api.example.com"), ""),
        (arrival(API, sni="api.example.com", named="evil.example"), ""),
        (arrival(API, sni="api.example.com", named="api.example.com.evil.example"), ""),
        (arrival(API, sni="api.example.com", named="api.example.com:"), ""),
        (arrival(API, sni="api.example.com", named="api.example.com:99999"), ""),
        (arrival(API, sni="api.example.com", named="api.example.com:443 "), ""),
        (arrival(API, sni="api.example.com", named="me@api.example.com"), ""),
        (arrival(API, sni="api.example.com", named="askonce.internal"), ""),
        # HTTP/2: `:authority` comes before a Host header
        (arrival(API, sni="api.example.com", named="evil.example")._replace(authority="api.example.com"), "chat"),
        (arrival(API, sni="api.example.com")._replace(authority="evil.example"), ""),
        # Scheme, port, path, method and headers
        (arrival(API.replace("443", "8443"), sni="api.example.com"), ""),
        (arrival(API.replace("https", "http")), ""),
        (arrival(API + "/more", sni="api.example.com"), ""),
        (arrival(API, sni="api.example.com")._replace(method=b"GET"), ""),
        (arrival(API, sni="api.example.com")._replace(method=b"post"), ""),
        (arrival(API.replace("api", "beta"), sni="beta.example.com", x_beta="yes"), "beta"),
        (arrival(API.replace("api", "beta"), sni="beta.example.com"), ""),
        # Other protocols: only counted, by the rule of the host
        (arrival(API, sni="api.example.com", upgrade="WebSocket"), "chat websocket"),
        (
            arrival("https://api.example.com:443/v1/realtime", sni="api.example.com", upgrade="websocket"),
            "chat websocket",
        ),
        (arrival(API, sni="api.example.com", content_type="application/grpc+proto"), "chat grpc"),
        (arrival(API, sni="api.example.com", upgrade="h2c"), "chat"),
        (arrival("https://foreign.example:443/", sni="foreign.example", upgrade="websocket"), "websocket"),
        # Our own name
        (arrival(f"https://askonce.internal:443{HEALTH}", sni="askonce.internal"), "ours"),
        (arrival(f"http://askonce.internal:80{HEALTH}"), "ours"),
        (arrival("http://gateway.askonce.internal:80/v1"), "ours"),
        (arrival(f"http://askonce.internal:80{HEALTH}", upgrade="websocket"), "ours"),
        (arrival(f"https://askonce.internal:443{HEALTH}", sni="evil.example"), ""),
        (arrival(f"http://myaskonce.internal:80{HEALTH}"), ""),
        # Our own address and aliases, on our own port or as to a server
        (arrival(f"http://10.0.0.2:8080{HEALTH}"), "ours"),
        (arrival(f"http://localhost:8080{HEALTH}"), "ours"),
        (arrival(f"http://LOCALHOST:8080{HEALTH}"), "ours"),
        (arrival(f"http://[::1]:8080{HEALTH}"), "ours"),
        (arrival(f"http://cachebox:8080{HEALTH}"), "ours"),
        (arrival(f"http://localhost:9999{HEALTH}"), ""),
        (arrival(f"http://cachebox:80{HEALTH}"), ""),
        (arrival(f"http://localhost:9999{HEALTH}", via="direct"), "ours"),
        (arrival(f"http://cachebox:80{HEALTH}", via="direct"), "ours"),
        (arrival(f"http://127.0.0.1:8080{HEALTH}", named="evil.example:8080"), ""),
        (arrival(f"https://10.0.0.2:8080{HEALTH}", sni="10.0.0.3"), ""),
        (arrival(f"http://localhost:11434{PATH}", via="direct"), "local"),
        (arrival(f"http://localhost:11434{PATH}"), "local"),
        # Another's address: somebody translates it; another's name: made to lead here
        (arrival(f"http://192.0.2.77:9090{HEALTH}", via="direct"), "ours"),
        (arrival(f"http://[2001:db8::1]:80{HEALTH}", via="direct"), "ours"),
        (arrival(f"http://192.0.2.77:8080{HEALTH}"), ""),
        (arrival(f"http://192.0.2.9:8000{PATH}", via="direct"), "numbered"),
        (arrival(f"http://elsewhere.example:8080{HEALTH}", via="direct"), ""),
    ],
)
def test_whose_call_it_is(asked: Arrival, expected: str) -> None:
    assert whose(asked) == expected


def test_it_is_said_that_a_call_came_as_to_a_server() -> None:
    for url in (f"http://cachebox:80{HEALTH}", f"http://localhost:11434{PATH}", "http://elsewhere.example:8080/"):
        assert decide(arrival(url, via="direct"), RULES).direct
        assert not decide(arrival(url), RULES).direct


@pytest.mark.parametrize(
    ("host", "expected"),
    [("askonce.internal", True), ("a.b.askonce.internal", True), ("myaskonce.internal", False), ("internal", False)],
)
def test_the_reserved_name_and_those_beneath_it_are_ours(host: str, expected: bool) -> None:
    assert is_own_name(host, "askonce.internal") is expected


_letters = st.text(string.ascii_letters + string.digits + "-_.:[]@% é\u0660", min_size=1, max_size=12)
_authorities = _letters | st.builds("{}:{}".format, _letters, st.integers(0, 99999))


@given(_authorities)
def test_a_host_header_is_read_as_mitmproxy_reads_it(named: str) -> None:
    """It reads `:authority` and URLs, so that what agrees for one of us agrees for the other."""
    host = parse_authority(named, check=False)[0].lower()
    asked = Arrival("https", host, 443, PATH, b"POST", {}, named, host, OWN)
    rules = Rules(RULES.config.model_copy(update={"manage": RULES.config.manage.model_copy(update={"host": host})}))
    assert decide(asked, rules).managed or not is_valid_host(host)


@given(_authorities, _letters.map(str.lower).filter(is_valid_host))
def test_a_host_header_that_mitmproxy_reads_as_another_is_another(named: str, host: str) -> None:
    asked = Arrival("https", host, 443, PATH, b"POST", {}, named, host, OWN)
    rules = Rules(RULES.config.model_copy(update={"manage": RULES.config.manage.model_copy(update={"host": host})}))
    agrees = parse_authority(named, check=False)[0].lower() == host
    assert agrees or not decide(asked, rules).managed
