"""Batches of texts to embed, through OpenAI's own SDK: answered text by text, and what is not known is asked alone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import zlib
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.e2e.conftest import Provider, Proxy

pytestmark = pytest.mark.usefixtures("app_env")

MODEL = "text-embedding-3-small"
A, B, C = "The first text.", "Another one, which is longer.", "Third."


def embed(client: openai.OpenAI, texts: Any, **more: Any) -> Any:
    return client.embeddings.create(model=MODEL, input=texts, **more)


def until_known(texts: Any, **more: Any) -> None:
    """Wait until an answer is kept, which is after its caller has it."""
    with openai.OpenAI(default_headers={"cache-control": "only-if-cached"}) as client:

        def is_known() -> bool:
            with contextlib.suppress(openai.InternalServerError):
                embed(client, texts, **more)
                return True
            return False

        until(is_known, f"{texts} is not kept")


def vectors(answer: Any) -> list[Any]:
    assert [item.index for item in answer.data] == list(range(len(answer.data)))
    return [item.embedding for item in answer.data]


def asked(provider: Provider) -> list[Any]:
    """The inputs of every call that the provider got."""
    return [json.loads(request["body"])["input"] for request in provider.stats()["requests"]]


@pytest.mark.parametrize(
    "more", [{}, {"encoding_format": "float", "dimensions": 64}, {"encoding_format": "base64", "user": "me"}]
)
def test_the_provider_is_asked_for_what_is_not_known(provider: Provider, more: dict[str, Any]) -> None:
    with openai.OpenAI() as client:
        whole = embed(client, [A, B, C], extra_headers={"cache-control": "no-store"}, **more)
        first = embed(client, A, **more)
        embed(client, [C], **more)
        until_known([A, C], **more)
        mixed = embed(client, [A, B, C], **more)
        assert asked(provider) == [[A, B, C], A, [C], [B]]
        sent = json.loads(provider.last()["body"])
        assert sent == {"model": MODEL, "input": [B], "encoding_format": "base64", **more}
        assert "cache-control" not in dict(provider.last()["headers"])
        assert mixed.to_dict(warnings=False) == whole.to_dict(warnings=False)
        until_known(B, **more)
        shuffled = embed(client, [C, B, A, B], **more)
        alone = embed(client, B, **more)
    assert provider.calls() == 4
    assert vectors(shuffled) == [vectors(whole)[at] for at in (2, 1, 0, 1)]
    assert vectors(alone) == [vectors(whole)[1]]
    assert vectors(first) == [vectors(whole)[0]]
    assert mixed.usage.total_tokens == whole.usage.total_tokens
    assert alone.usage.total_tokens == whole.usage.total_tokens - first.usage.total_tokens - embedded(C)


def embedded(text: str) -> int:
    """What the sample provider counts for a text, asked past the cache."""
    with openai.OpenAI() as client:
        return int(embed(client, text, extra_headers={"cache-control": "no-store"}).usage.total_tokens)


def test_inputs_of_tokens(provider: Provider) -> None:
    with openai.OpenAI() as client:
        whole = embed(client, [[1, 2, 3], [4]])
        until_known([[1, 2, 3], [4]])
        mixed = embed(client, [[4], [5, 6]])
        alone = embed(client, [1, 2, 3])
    assert asked(provider) == [[[1, 2, 3], [4]], [[5, 6]]]
    assert vectors(mixed)[0] == vectors(whole)[1]
    assert vectors(alone) == vectors(whole)[:1]
    assert (mixed.usage.prompt_tokens, alone.usage.prompt_tokens) == (3, 3)


def test_the_failure_of_the_part_is_the_provider_s(provider: Provider) -> None:
    with openai.OpenAI(max_retries=0) as client:
        embed(client, A)
        until_known(A)
        error = {"error": {"message": "Slow down, please.", "type": "requests", "param": None, "code": "rate"}}
        provider.script(json.dumps(error), status=429)
        with pytest.raises(openai.RateLimitError, match="Slow down, please") as caught:
            embed(client, [A, B])
        assert caught.value.response.headers["cache-status"] == "askonce; fwd=partial"
        assert len(vectors(embed(client, [A, B]))) == 2
    assert asked(provider) == [A, [B], [B]]


@pytest.mark.parametrize("script", ['{"object": "list", "data": []}', "{", "not JSON"])
def test_where_the_part_does_not_fit_the_whole_is_asked(provider: Provider, script: str) -> None:
    with openai.OpenAI(max_retries=0) as client:
        whole = embed(client, [A, B], extra_headers={"cache-control": "no-store"})
        embed(client, A)
        until_known(A)
        provider.script(script)
        mended = embed(client, [A, B])
        assert asked(provider) == [[A, B], A, [B], [A, B]]
        assert mended.to_dict(warnings=False) == whole.to_dict(warnings=False)
        until_known([A, B])
        embed(client, [B, A])  # which was kept
    assert provider.calls() == 4


def test_a_part_that_is_cut_off_is_no_answer(provider: Provider) -> None:
    with openai.OpenAI(max_retries=1) as client:
        embed(client, A)
        until_known(A)
        provider.script('{"object": "list", "data": [', abort=True, headers={"content-length": "1000"})
        assert len(vectors(embed(client, [A, B]))) == 2  # at the SDK's second try
    assert asked(provider) == [A, [B], [B]]


def test_what_is_compressed_on_either_side(proxy: Proxy, provider: Provider, api_key: str) -> None:
    provider.set(content_encoding="gzip")
    trusting = ssl.create_default_context(cafile=str(proxy.bundle))
    body = zlib.compress(json.dumps({"model": MODEL, "input": [A, B]}).encode(), wbits=31)
    headers = {"authorization": f"Bearer {api_key}", "content-encoding": "gzip", "content-type": "application/json"}
    with openai.OpenAI() as client:
        first = embed(client, A, encoding_format="float")
    until_known(A, encoding_format="float")
    with httpx.Client(proxy=proxy.url, verify=trusting, trust_env=False, http2=True) as client:
        client.post("https://api.openai.com/v1/embeddings", content=body, headers=headers).raise_for_status()
        body = zlib.compress(
            json.dumps({"model": MODEL, "input": [A, B], "encoding_format": "float"}).encode(), wbits=31
        )
        answer = client.post("https://api.openai.com/v1/embeddings", content=body, headers=headers).json()
    assert [item["embedding"] for item in answer["data"]][:1] == vectors(first)
    sent = provider.last()
    assert (json.loads(sent["body"])["input"], "content-encoding" in dict(sent["headers"])) == ([B], False)


async def test_the_same_batch_at_once_is_asked_once(provider: Provider) -> None:
    provider.set(first_token=0.3)
    async with openai.AsyncOpenAI() as client:
        await client.embeddings.create(model=MODEL, input=A)
        until_known(A)
        found = await asyncio.gather(*[client.embeddings.create(model=MODEL, input=[A, B, C]) for _ in range(20)])
    assert asked(provider) == [A, [B, C]]
    assert len({str(vectors(answer)) for answer in found}) == 1
