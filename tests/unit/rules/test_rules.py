"""Which rule a request falls under."""

import re
from typing import Any

import orjson
import pytest

from askonce.call import Call, Request
from askonce.rules import Document, Rules, Target

RULES = Rules(
    Document.parse(
        """\
version: 1
upstreams:
  - {name: chat, hosts: [api.example.com, "*.azure.example.com"], paths: [/v1/chat, "/d/*/chat"], wire: openai-chat}
  - {name: local, hosts: ["http://localhost:8000"], paths: [/v1/chat], wire: openai-chat, upstream: "http://10.0.0.5:81"}
  - {name: secure, hosts: [llm.example.com:8443], paths: ["/**"], wire: openai-chat, upstream: "https://10.0.0.6"}
prices: {gpt-4o: {input: 2, output: 8}, gpt-4o-mini: {input: 1, output: 4}}
"""
    )
)


def found(scheme: str, host: str, port: int, path: str) -> str | None:
    rule = RULES.find(scheme, host, port, path)
    return rule.name if rule else None


def test_host_port_scheme_and_path_decide() -> None:
    assert found("https", "api.example.com", 443, "/v1/chat") == "chat"
    assert found("https", "API.example.com", 443, "/v1/chat") == "chat"
    assert found("https", "x.azure.example.com", 443, "/d/gpt/chat") == "chat"
    assert found("http", "localhost", 8000, "/v1/chat") == "local"
    assert found("https", "llm.example.com", 8443, "/any/path") == "secure"
    for place in [
        ("http", "api.example.com", 443, "/v1/chat"),
        ("https", "api.example.com", 8443, "/v1/chat"),
        ("https", "api.example.com", 443, "/v1/models"),
        ("https", "api.example.com.evil.org", 443, "/v1/chat"),
        ("https", "evilapi.example.com", 443, "/v1/chat"),
    ]:
        assert found(*place) is None


def test_decisions_are_remembered_within_bounds() -> None:
    rules = Rules(RULES.config)
    for number in range(5000):
        assert rules.find("https", "api.example.com", 443, f"/{number}") is None
    assert len(rules._found) <= 4096
    assert rules.find("https", "api.example.com", 443, "/v1/chat")


def test_mitmproxy_is_told_of_these_hosts_and_no_other() -> None:
    def allowed(place: str) -> bool:
        return any(re.search(regex, place, re.IGNORECASE) for regex in RULES.allow_hosts())

    for place in ["api.example.com:443", "x.azure.example.com:443", "llm.example.com:8443", "askonce.internal:80"]:
        assert allowed(place)
    for place in [
        "api.example.com:8443",
        "apiXexample.com:443",
        "x.api.example.com:443",
        "api.example.com.evil.org:443",
    ]:
        assert not allowed(place)


def test_the_certificate_authority_vouches_for_https_names_only() -> None:
    assert RULES.host_names() == ("*.azure.example.com", "api.example.com", "askonce.internal", "llm.example.com")


def test_where_misses_go() -> None:
    targets = {rule.name: rule.target for rule in RULES}
    assert targets == {
        "chat": None,
        "local": Target("http", "10.0.0.5", 81),
        "secure": Target("https", "10.0.0.6", 443),
    }


def test_the_longest_name_gives_the_price() -> None:
    mini, other = RULES.price("gpt-4o-mini-2024-07-18"), RULES.price("gpt-4o-2024")
    assert mini and other
    assert (mini.input, other.input) == (1, 2)
    assert RULES.price("claude") is None


def test_a_rule_may_be_for_some_clients_alone() -> None:
    rules = Rules(
        Document.parse("""
version: 1
upstreams:
  - {name: agent, hosts: [a.example], paths: [/v1], wire: generic, when: {User-Agent: "agent/*", x-mode: on*}}
  - {name: any, hosts: [a.example], paths: [/v1], wire: generic, when: {x-initiator: "*"}}
  - {name: rest, hosts: [a.example], paths: [/v1], wire: generic}
""")
    )

    def found(**headers: str) -> str:
        heads = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
        rule = rules.find("https", "a.example", 443, "/v1", heads)
        assert rule
        return rule.name

    assert found(user_agent="Agent/2.0 (Linux)", x_mode="online") == "agent"
    assert found(user_agent="agent/2.0") == "rest"  # all of them
    assert found(user_agent="an agent/2.0", x_mode="on") == "rest"
    assert found() == "rest"
    assert found(user_agent="agent/", x_mode="ON") == "agent"
    assert (found(x_initiator="user"), found(x_initiator="")) == ("any", "any")


PROMPTS = Rules(
    Document.parse("""
version: 1
upstreams:
  - {name: several, hosts: [a.example], paths: [/1], wire: openai-chat, prompt: [$.query, "$.parts[*].text", $.ask]}
  - {name: one, hosts: [a.example], paths: [/2], wire: openai-chat, prompt: $.query}
  - {name: none, hosts: [a.example], paths: [/3], wire: openai-chat, prompt: "${NOT_SET}"}
  - {name: unknown, hosts: [a.example], paths: [/4], wire: generic, prompt: [$.query, $.ask]}
""")
)


def read(name: str, body: dict[str, Any]) -> Call:
    rule = next(rule for rule in PROMPTS if rule.name == name)
    return rule.wire.read(Request("POST", "a.example", rule.endpoint, "", {}, orjson.dumps(body)), rule.read)


@pytest.mark.parametrize(
    ("body", "prompt"),
    [
        ({"query": "a", "ask": "b"}, "a"),
        ({"ask": "b", "query": "a", "parts": [{"text": "c"}]}, "a"),
        ({"ask": "b", "parts": [{"text": "c"}, {"text": "d"}]}, "d"),
        ({"ask": "b", "query": 5, "parts": []}, "b"),
        ({"query": None}, "the message"),
        ({}, "the message"),
    ],
)
def test_the_first_path_that_holds_text_is_the_prompt_else_the_wire_formats(body: dict[str, Any], prompt: str) -> None:
    message = {"messages": [{"role": "user", "content": "the message"}]}
    call = read("several", body | message)
    assert (call.prompt, call.exact_only) == (prompt, "")


def test_a_prompt_that_is_not_there_turns_no_cache_off() -> None:
    body = {"messages": [{"role": "user", "content": "q"}]}
    assert read("one", body) == read("none", body)
    assert read("unknown", {"ask": "q"}).prompt == "q"
    assert read("unknown", {"question": "q"}).exact_only == "the rule's prompt is not there"
