"""Where a call is sent again."""

import pytest

from askonce.call import Request
from askonce.config import parse
from askonce.refresh import address
from askonce.rules import Rules


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
        parse(f"version: 1\nupstreams:\n  - {{name: a, hosts: {hosts}, paths: [/v1/chat], wire: openai-chat}}\n")
    )
    assert address(rule, Request("POST", host, "/v1/chat", "a=b%20c", {}, b"")) == expected
