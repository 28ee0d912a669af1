"""The main job, through OpenAI's own SDK: asked twice, the provider is asked once, and nothing else is touched."""

from __future__ import annotations

import contextlib
import http.client
import ssl
from typing import TYPE_CHECKING, Any

import openai
import pytest
from tests.support.waiting import PATIENCE

if TYPE_CHECKING:
    from tests.e2e.conftest import Provider, Proxy

pytestmark = pytest.mark.usefixtures("app_env")

FRANCE = "What is the capital of France?"
FRANCE_REWORDED = "Tell me what the capital of France is."
GERMANY = "What is the capital of Germany?"


def request(question: str, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": question}], **more}


def same(answer: Any, *others: Any) -> None:
    """Answers are equal but for id and time, and these are each answer's own."""
    body = answer.model_dump(exclude={"id", "created"})
    for other in others:
        assert other.model_dump(exclude={"id", "created"}) == body
    assert len({one.id for one in (answer, *others)}) == 1 + len(others)


def asked(provider: Provider) -> tuple[int, int]:
    """(calls, connections) that the provider has seen."""
    stats = provider.stats()
    return stats["calls"], stats["connections"]


def test_second_and_reworded_call_open_no_upstream_connection(proxy: Proxy, provider: Provider) -> None:
    with openai.OpenAI() as client:
        miss = client.chat.completions.create(**request(FRANCE))
        assert miss.choices[0].message.content == "The capital of France is Paris."
        assert asked(provider) == (1, 1)
        hit = client.chat.completions.create(**request(FRANCE))
        reworded = client.chat.completions.create(**request(FRANCE_REWORDED))
    assert asked(provider) == (1, 1)
    same(miss, hit, reworded)


def test_fresh_client_opens_no_upstream_connection_for_a_hit(proxy: Proxy, provider: Provider) -> None:
    with openai.OpenAI() as client:
        miss = client.chat.completions.create(**request(FRANCE))
    with openai.OpenAI() as client:
        same(miss, client.chat.completions.create(**request(FRANCE)))
    assert asked(provider) == (1, 1)


def test_look_alike_is_asked(proxy: Proxy, provider: Provider) -> None:
    with openai.OpenAI() as client:
        client.chat.completions.create(**request(FRANCE))
        other = client.chat.completions.create(**request(GERMANY))
    assert other.choices[0].message.content == "The capital of Germany is Berlin."
    assert provider.calls() == 2


def test_another_key_shares_nothing(proxy: Proxy, provider: Provider) -> None:
    with openai.OpenAI() as client:
        client.chat.completions.create(**request(FRANCE))
        client.with_options(api_key="sk-somebody-else").chat.completions.create(**request(FRANCE))
    assert provider.calls() == 2


async def test_async_client(proxy: Proxy, provider: Provider) -> None:
    async with openai.AsyncOpenAI() as client:
        miss = await client.chat.completions.create(**request(FRANCE))
        hit = await client.chat.completions.create(**request(FRANCE))
        reworded = await client.chat.completions.create(**request(FRANCE_REWORDED))
    assert asked(provider) == (1, 1)
    same(miss, hit, reworded)


def streamed(client: openai.OpenAI, question: str) -> list[Any]:
    chunks = list(
        client.chat.completions.create(**request(question, stream=True, stream_options={"include_usage": True}))
    )
    assert len({chunk.id for chunk in chunks}) == 1
    return chunks


def told(chunks: list[Any]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def test_streamed_hits(proxy: Proxy, provider: Provider) -> None:
    with openai.OpenAI() as client:
        miss = streamed(client, FRANCE)
        hit = streamed(client, FRANCE)
        reworded = streamed(client, FRANCE_REWORDED)
    assert provider.calls() == 1
    for chunks in (miss, hit, reworded):
        assert told(chunks) == "The capital of France is Paris."
        assert chunks[0].choices[0].delta.role == "assistant"
        assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "stop"
        assert chunks[-1].usage == miss[-1].usage is not None
    assert len({chunks[0].id for chunks in (miss, hit, reworded)}) == 3


def test_streamed_answer_serves_a_plain_call_and_the_other_way_round(proxy: Proxy, provider: Provider) -> None:
    with openai.OpenAI() as client:
        streamed(client, FRANCE)
        assert client.chat.completions.create(**request(FRANCE)).choices[0].message.content == (
            "The capital of France is Paris."
        )
        client.chat.completions.create(**request(GERMANY))
        assert told(streamed(client, GERMANY)) == "The capital of Germany is Berlin."
    assert provider.calls() == 2


def test_errors_are_the_providers_own_and_never_kept(proxy: Proxy, provider: Provider) -> None:
    with openai.OpenAI(max_retries=0) as client:
        for _ in range(2):
            with pytest.raises(openai.NotFoundError, match="no-such-model"):
                client.chat.completions.create(**request(FRANCE) | {"model": "no-such-model"})
    assert provider.calls() == 2


def test_credential_and_prompt_reach_the_provider_unchanged(proxy: Proxy, provider: Provider, api_key: str) -> None:
    with openai.OpenAI() as client:
        client.chat.completions.create(**request(FRANCE))
    last = provider.last()
    headers = dict(last["headers"])
    assert (last["host"], last["path"]) == ("api.openai.com", "/v1/chat/completions")
    assert headers["authorization"] == f"Bearer {api_key}"
    assert (
        not {name for name in headers if name.startswith(("proxy-", "x-askonce", "x-forwarded"))}
        and "via" not in headers
    )


def presented(proxy: Proxy, host: str, trusting: ssl.SSLContext) -> bytes:
    """The certificate, DER, that a client sees behind the proxy; raises where it does not verify."""
    tunnel = http.client.HTTPSConnection("127.0.0.1", proxy.port, context=trusting, timeout=PATIENCE)
    tunnel.set_tunnel(host, 443)
    tunnel.connect()
    with contextlib.closing(tunnel):
        assert isinstance(tunnel.sock, ssl.SSLSocket)
        certificate = tunnel.sock.getpeercert(binary_form=True)
    assert certificate
    return certificate


def test_foreign_hosts_certificate_is_its_own(proxy: Proxy, provider: Provider) -> None:
    theirs = ssl.create_default_context(cafile=str(provider.ca_file))
    assert presented(proxy, "foreign.example", theirs) == provider.certificate
    ours = ssl.create_default_context(cafile=str(proxy.bundle))
    assert presented(proxy, "api.openai.com", ours) != provider.certificate
