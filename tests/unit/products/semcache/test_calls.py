"""Semcache's calls: where headers lead them, where their prompt is, and what is refused in which words."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from askonce.cache import Policy
from askonce.call import Reply, Request
from askonce.products.base import Passage
from askonce.products.document import ProductsSpec
from askonce.products.semcache.calls import GENERIC, PromptElsewhere, Semcache, cosine
from askonce.rules import Document, Rules

UPSTREAMS = """\
version: 1
upstreams:
  - name: openai-chat
    hosts: [api.openai.com, api.mistral.ai]
    paths: [/v1/chat/completions]
    wire: openai-chat
    headers: [OpenAI-Beta]
  - {name: anthropic, hosts: [api.anthropic.com, claude.corp.example], paths: [/v1/messages], wire: anthropic-messages}
  - {name: house, hosts: ["http://10.0.0.5:8000"], paths: [/ask], wire: generic, prompt: $.query}
  - {name: wild, hosts: ["*.apps.example.com"], paths: ["/**"], wire: generic}
"""
RULES = Rules(Document.parse(UPSTREAMS))
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
BODY = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "query": "Who?"}


def product(**products: Any) -> Semcache:
    """Semcache under a section `products` of rules.yaml."""
    told = ProductsSpec.model_validate(products)
    return Semcache(lambda: told.semcache, told.provider_keys.of)


PRODUCT = product()


def request(path: str = CHAT, body: Any = BODY, **headers: str) -> Request:
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return Request("POST", "127.0.0.1", path, "", {"content-type": "application/json", **said}, data, raw="r")


def passage(path: str = CHAT, body: Any = BODY, asked: Semcache = PRODUCT, **headers: str) -> Passage:
    claimed = asked.claim(request(path, body, **headers), RULES)
    assert isinstance(claimed, Passage), claimed
    return claimed


def refusal(path: str = CHAT, body: Any = BODY, **headers: str) -> tuple[int, str]:
    claimed = PRODUCT.claim(request(path, body, **headers), RULES)
    assert isinstance(claimed, Reply), claimed
    assert claimed.content_type == "text/plain; charset=utf-8"
    return claimed.status, claimed.body.decode()


# Where a call goes


@pytest.mark.parametrize(
    ("path", "host", "sent"),
    [
        (CHAT, "api.openai.com", CHAT),
        ("/chat/completions", "api.openai.com", CHAT),
        (MESSAGES, "api.anthropic.com", MESSAGES),
    ],
)
def test_each_path_has_an_upstream_of_its_own(path: str, host: str, sent: str) -> None:
    made = passage(path)
    meant = made.request
    assert (meant.scheme, meant.host, meant.port, meant.path) == ("https", host, 443, sent)
    assert (made.request.body, made.request.raw, made.bare_misses) == (orjson.dumps(BODY), None, True)


@pytest.mark.parametrize(
    ("path", "headers", "place"),
    [
        (CHAT, {"x_llm_proxy_host": "https://api.mistral.ai"}, ("https", "api.mistral.ai", 443, CHAT)),
        (CHAT, {"x_llm_proxy_host": " api.mistral.ai/ "}, ("https", "api.mistral.ai", 443, CHAT)),
        (
            MESSAGES,
            {"x_llm_proxy_host": "https://claude.corp.example"},
            ("https", "claude.corp.example", 443, MESSAGES),
        ),
        (MESSAGES, {"x_llm_proxy_upstream": "http://10.0.0.5:8000/ask"}, ("http", "10.0.0.5", 8000, "/ask")),
        (
            CHAT,
            {
                "x_llm_proxy_upstream": "https://api.openai.com/v1/chat/completions",
                "x_llm_proxy_host": "api.mistral.ai",
            },
            ("https", "api.openai.com", 443, CHAT),
        ),
        (
            GENERIC,
            {"x_llm_proxy_upstream": "http://10.0.0.5:8000/ask", "x_llm_proxy_prompt": "$.query"},
            ("http", "10.0.0.5", 8000, "/ask"),
        ),
    ],
)
def test_headers_lead_to_what_a_rule_names(
    path: str, headers: dict[str, str], place: tuple[str, str, int, str]
) -> None:
    made = passage(path, **headers)
    sent = made.request
    assert (sent.scheme, sent.host, sent.port, sent.path) == place


def test_a_query_is_the_upstreams_or_else_the_callers() -> None:
    with_query = replace(request(), query="b=2")
    for url, query in (("https://api.openai.com/v1/chat/completions?a=1", "a=1"), ("", "b=2")):
        claimed = PRODUCT.claim(replace(with_query, headers={**with_query.headers, "x-llm-proxy-upstream": url}), RULES)
        assert isinstance(claimed, Passage)
        assert claimed.request.query == query


@pytest.mark.parametrize("header", ["x_llm_proxy_upstream", "x_llm_proxy_host"])
@pytest.mark.parametrize("path", [CHAT, "/chat/completions", MESSAGES, GENERIC])
@pytest.mark.parametrize(
    ("url", "status", "said"),
    [
        ("https://evil.example/v1/x", 403, "Refused: no rule names https://evil.example:443/"),
        ("http://169.254.169.254/latest/meta-data/", 403, "Refused: no rule names http://169.254.169.254:80/"),
        ("http://127.0.0.1:8080/v1/cache", 403, "Refused: no rule names http://127.0.0.1:8080/"),
        ("https://u:p@api.openai.com/v1/x", 400, "Error handling request: Invalid upstream: expected a URL"),
        ("file:///etc/passwd", 400, "Error handling request: Invalid upstream: expected a URL"),
    ],
)
def test_headers_lead_nowhere_else(header: str, path: str, url: str, status: int, said: str) -> None:
    headers = {header: url, "x_llm_proxy_prompt": "$.query"}
    if path == GENERIC and header == "x_llm_proxy_host":
        # The document has the whole URL required there, and it comes before the host.
        assert refusal(path, **headers) == (
            400,
            "Error handling request: Invalid generic provider: missing x-llm-proxy-upstream",
        )
        return
    told, text = refusal(path, **headers)
    assert told == status
    assert text.startswith(said)


async def test_a_wildcard_is_checked_before_the_provider_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: Any, **__: Any) -> list[Any]:
        return [(2, 1, 6, "", ("192.168.0.1", 443))]

    monkeypatch.setattr("socket.getaddrinfo", resolve)
    made = passage(MESSAGES, x_llm_proxy_upstream="https://x.apps.example.com/ask")
    refused = await made.before()
    assert refused is not None
    assert (refused.status, refused.body.decode()) == (
        403,
        "Refused: x.apps.example.com leads to a private address, and no rule names it in full",
    )
    assert await passage(MESSAGES).before() is None


# What of the caller's goes on


def test_our_own_headers_go_no_further() -> None:
    made = passage(
        x_llm_proxy_host="https://api.openai.com",
        x_llm_proxy_upstream="https://api.openai.com/v1/chat/completions",
        x_llm_proxy_prompt="$.query",
        x_llm_prompt="$.query",
        authorization="Bearer sk-1",
        x_mine="1",
    )
    assert made.request.headers == {"content-type": "application/json", "authorization": "Bearer sk-1", "x-mine": "1"}


def test_the_operators_key_goes_only_to_whom_it_is_for() -> None:
    keyed = product(provider_keys={"openai": "o-key", "anthropic": "a-key", "mistral": "m-key"})
    assert passage(asked=keyed).request.headers["authorization"] == "Bearer o-key"
    assert passage(MESSAGES, asked=keyed).request.headers["x-api-key"] == "a-key"
    assert passage(asked=keyed, x_llm_proxy_host="api.mistral.ai").request.headers["authorization"] == "Bearer m-key"
    assert passage(asked=keyed, authorization="Bearer sk-1").request.headers["authorization"] == "Bearer sk-1"
    assert passage(asked=keyed, authorization="Bearer sk-1", x_corp_token="t").outgoing is None
    theirs = ("cookie", "x_corp_token", "x_secret_key", "x_openai_key", "x_nobody_knows")
    sent = passage(asked=keyed, **dict.fromkeys(theirs, "t"), traceparent="1", openai_beta="a").outgoing
    assert sent is not None
    kept = {"content-type": "application/json", "traceparent": "1", "openai-beta": "a"}
    assert sent.headers == kept | {"authorization": "Bearer o-key"}
    url = "https://api.openai.com/v1/chat/completions?a=b"
    sent = passage(asked=keyed, x_llm_proxy_upstream=url).outgoing
    assert sent is not None and sent.query == "a=b"
    for url in ("https://claude.corp.example/v1/messages", "http://10.0.0.5:8000/ask", "https://x.apps.example.com/"):
        assert passage(MESSAGES, asked=keyed, x_llm_proxy_upstream=url).request.headers.keys() == {"content-type"}


# Where the prompt is


@pytest.mark.parametrize("header", ["x_llm_proxy_prompt", "x_llm_prompt"])
@pytest.mark.parametrize(("path", "exact_only"), [("$.messages[-1].content", ""), ("$.query", "prompt elsewhere")])
def test_a_prompt_elsewhere_is_answered_with_the_same_calls_answer(header: str, path: str, exact_only: str) -> None:
    made = passage(MESSAGES, {**BODY, "max_tokens": 9}, **{header: path})
    assert isinstance(made.rule.wire, PromptElsewhere)
    assert made.rule.wire.name == "anthropic-messages"
    call = made.rule.wire.read(made.request, made.rule.read)
    assert (call.prompt, call.exact_only) == ("Hi", exact_only)


def test_the_documents_name_for_the_prompt_comes_first() -> None:
    made = passage(
        GENERIC, x_llm_proxy_upstream="http://10.0.0.5:8000/ask", x_llm_proxy_prompt="$.query", x_llm_prompt="$"
    )
    assert made.rule.name == "house"


@pytest.mark.parametrize("path", [CHAT, "/chat/completions", MESSAGES])
@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("$.nothing", "No element found at path '$.nothing'"),
        ("$.messages", "Expected a string at path '$.messages', but found: [{"),
        ("$[", "Invalid prompt path: expected a JSONPath"),
    ],
)
def test_a_path_that_finds_no_text(path: str, prompt: str, said: str) -> None:
    status, text = refusal(path, x_llm_proxy_prompt=prompt)
    assert status == 400
    assert text.startswith(said)


def test_what_was_found_instead_is_shown_in_short() -> None:
    long = {"model": "m", "messages": ["x" * 500]}
    assert len(refusal(body=long, x_llm_prompt="$.messages")[1]) < 200


# Refusals and answers


@pytest.mark.parametrize("path", [CHAT, "/chat/completions", MESSAGES, GENERIC])
@pytest.mark.parametrize(
    ("body", "content_type", "status", "said"),
    [
        (b"{", "application/json", 400, "Failed to parse the request body as JSON: "),
        (b"", "application/json", 400, "Failed to parse the request body as JSON: "),
        (b"{}", "text/plain", 415, "Expected request with `Content-Type: application/json`"),
        (b"{}", "", 415, "Expected request with `Content-Type: application/json`"),
        (b"{}", "application/xml+json+x", 415, "Expected request with `Content-Type: application/json`"),
        (b" " * (2 << 20) + b"{}", "application/json", 413, "Failed to buffer the request body: length limit exceeded"),
    ],
)
def test_bodies_are_refused_in_its_own_words(path: str, body: bytes, content_type: str, status: int, said: str) -> None:
    told, text = refusal(path, body, content_type=content_type)
    assert told == status
    assert text.startswith(said)


def test_json_has_more_names_than_one() -> None:
    for content_type in ("application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.x+json"):
        assert passage(content_type=content_type)


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({}, "x-llm-proxy-upstream and x-llm-proxy-prompt"),
        ({"x_llm_proxy_upstream": "http://10.0.0.5:8000/ask"}, "x-llm-proxy-prompt"),
        ({"x_llm_prompt": "$.query"}, "x-llm-proxy-upstream"),
    ],
)
def test_the_generic_endpoint_names_what_it_needs(given: dict[str, str], missing: str) -> None:
    assert refusal(GENERIC, **given) == (400, f"Error handling request: Invalid generic provider: missing {missing}")


def test_an_upstream_that_cannot_be_reached() -> None:
    unreachable = passage().unreachable
    assert unreachable is not None
    reply = unreachable("connection refused by 10.0.0.5")  # which tells more than a caller should know
    assert (reply.status, reply.content_type, reply.body) == (
        500,
        "text/plain; charset=utf-8",
        b"Failed to call upstream",
    )


def test_only_a_hit_is_told_of() -> None:
    dress = passage().dress
    for answered, status, said in ((True, 200, (("x-cache-status", "hit"),)), (False, 200, ()), (True, 504, ())):
        made: Any = SimpleNamespace(is_answered=answered, status=status)
        assert dress(made) == said


@pytest.mark.parametrize(("of_the_rule", "expected"), [(None, 0.8), (0.5, 0.8), (0.9, 0.9)])
def test_the_threshold_only_tightens(of_the_rule: float | None, expected: float) -> None:
    policy = passage().terms.policy(Policy(min_similarity=of_the_rule, max_age=5))
    assert policy == Policy(min_similarity=pytest.approx(expected), max_age=5)  # type: ignore[arg-type]


def test_similarity_is_on_its_own_scale() -> None:
    assert [round(cosine(similarity), 6) for similarity in (0.9, 0.99, 1, 0.5, 0)] == [0.8, 0.98, 1, 0, -1]
    loose = product(semcache={"similarity_threshold": 0.6})
    assert passage(asked=loose).terms.policy(Policy()).min_similarity == pytest.approx(0.2)


# Whose a request at the root is


def test_what_is_semcaches_at_the_root() -> None:
    for path in ("/chat/completions", MESSAGES, GENERIC, "/semcache/v1/put"):
        assert PRODUCT.recognises(request(path), RULES)
    assert PRODUCT.recognises(request(x_llm_proxy_host="x"), RULES)
    for path in (CHAT, "/semcachex", "/v1/cache"):
        assert not PRODUCT.recognises(request(path), RULES)


def test_put_get_and_the_pages_are_no_calls() -> None:
    for method, path in (("PUT", "/semcache/v1/put"), ("POST", "/semcache/v1/get"), ("GET", "/admin"), ("GET", CHAT)):
        assert PRODUCT.claim(replace(request(path), method=method), RULES) is None
