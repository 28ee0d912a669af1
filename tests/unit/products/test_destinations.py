"""Where a caller's URL may lead: to what the rules name, and into no private network by way of a wildcard."""

import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.products.destinations import DestinationError, ForbiddenDestination, find_destination
from askonce.rules import Document, Rules

RULES = Rules(
    Document.parse(
        """\
version: 1
upstreams:
  - {name: chat, hosts: [api.example.com], paths: [/v1/chat], wire: openai-chat}
  - {name: wild, hosts: ["*.apps.example.com"], paths: ["/**"], wire: generic}
  - {name: inside, hosts: ["http://10.0.0.5:8000", "http://[fd00::1]:8000"], paths: ["/*/ask"], wire: generic}
"""
    )
)


def test_what_a_rule_names_is_found() -> None:
    place = find_destination("https://API.example.com/v1/chat?a=b&c", RULES)
    assert (place.scheme, place.host, place.port, place.path, place.query) == (
        *("https", "api.example.com", 443, "/v1/chat", "a=b&c"),
    )
    assert place.rule.name == "chat"
    assert find_destination("http://10.0.0.5:8000/v2/ask", RULES).rule.name == "inside"
    assert find_destination("http://[fd00::1]:8000/v2/ask", RULES).host == "fd00::1"
    assert find_destination("https://x.apps.example.com", RULES).path == "/"


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/v1/chat",
        "https://apps.example.com/",
        "http://api.example.com/v1/chat",
        "https://api.example.com:8443/v1/chat",
        "https://api.example.com/v1/chat/",
        "https://api.example.com/v1/%63hat",
        "http://10.0.0.6:8000/v2/ask",
        "http://10.0.0.5/v2/ask",
        "http://0xa000005:8000/v2/ask",
    ],
)
def test_what_no_rule_names_is_forbidden(url: str) -> None:
    with pytest.raises(ForbiddenDestination, match="no rule names"):
        find_destination(url, RULES)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example.com/v1/chat",
        "ftp://api.example.com/v1/chat",
        "https://u@api.example.com/v1/chat",
        "https://api.example.com#@evil.example/v1/chat",
        "https://api.example.com\\@evil.example/v1/chat",
        "https://api.example.com /v1/chat",
        "https://api.example.com/v1/chat\r\nHost: evil.example",
        "https://api.example.com:0x1bb/v1/chat",
        "https://api.example.com:70000/v1/chat",
        "https://x.apps.example.com/a/../b",
        "https://x.apps.example.com/a/%2E./b",
        "https://äpi.example.com/v1/chat",
        "https://[::1/v1/chat",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(url: str) -> None:
    with pytest.raises(DestinationError, match=r"^expected|no rule"):
        find_destination(url, RULES)


@given(st.text(max_size=60) | st.from_regex(r"https?://[^ ]{1,30}/[^ ]{0,20}", fullmatch=True))
def test_no_text_leads_where_no_rule_is(url: str) -> None:
    try:
        place = find_destination(url, RULES)
    except DestinationError:
        return
    assert RULES.find(place.scheme, place.host, place.port, place.path) is place.rule


@pytest.mark.parametrize(
    ("addresses", "allowed"),
    [
        (["93.184.216.34"], True),
        (["2606:2800:220:1::1"], True),
        (["127.0.0.1"], False),
        (["10.1.2.3"], False),
        (["169.254.169.254"], False),
        (["100.64.0.1"], False),
        (["0.0.0.0"], False),
        (["224.0.0.1"], False),
        (["::1"], False),
        (["fe80::1%eth0"], False),
        (["fd00::1"], False),
        (["::ffff:10.0.0.1"], False),
        (["93.184.216.34", "10.0.0.1"], False),
    ],
)
async def test_a_wildcard_leads_to_public_addresses_only(
    addresses: list[str], allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(host: str, port: int, *_args: Any, **_more: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    place = find_destination("https://x.apps.example.com/", RULES)
    if allowed:
        await place.check()
    else:
        with pytest.raises(ForbiddenDestination, match="private address"):
            await place.check()


async def test_what_a_rule_spells_out_may_be_private() -> None:
    await find_destination("http://10.0.0.5:8000/v2/ask", RULES).check()
    await find_destination("https://api.example.com/v1/chat", RULES).check()
