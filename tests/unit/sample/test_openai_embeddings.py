from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from askonce.sample import SampleProvider


@pytest.fixture
def client(provider: SampleProvider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="k", base_url=f"{provider.url}/v1", max_retries=0) as client:
        yield client


def test_floats_and_base64_are_the_same_vectors(client: openai.OpenAI, http: httpx.Client) -> None:
    inputs = ["one", "two"]
    as_base64 = client.embeddings.create(model="text-embedding-3-small", input=inputs)  # the SDK asks for base64
    as_floats = client.embeddings.create(model="text-embedding-3-small", input=inputs, encoding_format="float")
    assert as_base64 == as_floats
    assert [len(row.embedding) for row in as_floats.data] == [1536, 1536]
    assert [row.index for row in as_floats.data] == [0, 1]
    raw = http.post("/v1/embeddings", json={"model": "m", "input": "one", "encoding_format": "base64"}).json()
    assert isinstance(raw["data"][0]["embedding"], str)


def test_vectors_are_unit_vectors_of_their_text_and_model(client: openai.OpenAI) -> None:
    def vector(model: str, text: Any) -> list[float]:
        return client.embeddings.create(model=model, input=text, dimensions=8).data[0].embedding

    one = vector("m", "one")
    assert sum(number * number for number in one) == pytest.approx(1)
    assert one == vector("m", "one")
    assert one not in (vector("m", "two"), vector("n", "one"), vector("m", [1, 2, 3]))


def test_token_inputs(client: openai.OpenAI) -> None:
    assert len(client.embeddings.create(model="m", input=[1, 2, 3]).data) == 1
    answer = client.embeddings.create(model="m", input=[[1, 2, 3], [4]])
    assert len(answer.data) == 2
    assert answer.usage.prompt_tokens == 4


def test_more_inputs_than_openai_takes_are_refused(http: httpx.Client) -> None:
    answer = http.post("/v1/embeddings", json={"model": "m", "input": ["a"] * 90_000})
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
    assert http.post("/v1/embeddings", json={"model": "m", "input": ["a"] * 2048, "dimensions": 2}).is_success
