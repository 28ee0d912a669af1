"""OpenAI's embeddings."""

import itertools
import re
from typing import Any

import orjson
import pytest
from openai.types import CreateEmbeddingResponse

from askonce.call import Answer, Call, Reply, Request, Unreadable, Unstorable, Usage
from askonce.patterns import parse_jsonpath
from askonce.wire import wire_format
from askonce.wire.base import ReadOptions, Replay

Json = dict[str, Any]

EMBEDDINGS = wire_format("openai-embeddings")
MODEL = "text-embedding-3-small"


def read(body: Json, options: ReadOptions = ReadOptions()) -> Call:  # noqa: B008 - frozen
    return EMBEDDINGS.read(Request("POST", "api.openai.com", "/v1/embeddings", "", {}, orjson.dumps(body)), options)


def ask(*inputs: Any, **fields: Any) -> Call:
    return read({"model": MODEL, "input": inputs[0] if len(inputs) == 1 else list(inputs), **fields})


def key(call: Call) -> tuple[bytes, str]:
    return orjson.dumps(dict(call.parts), option=orjson.OPT_SORT_KEYS), call.prompt


def answer(*vectors: Any) -> bytes:
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    usage = {"prompt_tokens": 2, "total_tokens": 2}
    return orjson.dumps({"object": "list", "data": data, "model": MODEL, "usage": usage})


def test_a_text_is_the_prompt_and_never_worded_differently() -> None:
    call = ask("Hello", encoding_format="base64", dimensions=256)
    assert call == Call(
        wire="openai-embeddings",
        prompt="Hello",
        parts={"format": {"encoding_format": "base64", "dimensions": 256}, "model": MODEL},
        model=MODEL,
        exact_only="an embedding is of its very text",
        turns=call.turns,
    )


def test_a_batch_is_kept_as_it_came() -> None:
    call = ask("Hello", "world")
    assert (call.prompt, call.parts["history"]) == ("Hello\nworld", ["Hello", "world"])
    assert ask([1, 2]).parts["history"] == [[1, 2]]
    assert ask([[1], [2]]).parts["history"] == [[1], [2]]


def test_a_batch_of_one_is_its_text() -> None:
    assert key(ask(["Hello"])) == key(ask("Hello"))
    assert key(ask([[1, 2]])) == key(ask([1, 2]))


def test_whatever_could_change_the_answer_makes_another_call() -> None:
    calls = [
        ask("a\nb"),
        ask("a", "b"),
        ask("b", "a"),
        ask("a", "b", ""),
        ask("a"),
        ask([1]),
        ask([1], [2]),
        ask("a", dimensions=5),
        ask("a", encoding_format="base64"),
        ask("a", user="u"),
        read({"model": "other", "input": "a"}),
    ]
    for one, other in itertools.combinations(calls, 2):
        assert key(one) != key(other)


def test_a_rule_says_what_to_ignore_and_where_the_prompt_is() -> None:
    options = ReadOptions(parse_jsonpath("$.input"), (parse_jsonpath("$.user"),))
    assert key(read({"model": MODEL, "input": "a", "user": "u"}, options)) == key(ask("a"))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "input: nothing, expected"),
        ({"input": []}, "input: a list, expected"),
        ({"input": 5}, "input: a number, expected"),
        ({"input": ["a", None]}, r"input\[1\]: nothing, expected"),
        ({"input": [[1], ["a"]]}, r"input\[1\]: a list, expected"),
        ({"input": [1, True]}, r"input\[0\]: a number, expected"),
        ({"input": "a", "model": []}, "model: a list"),
    ],
)
def test_what_cannot_be_read_says_why(body: Json, message: str) -> None:
    with pytest.raises(Unreadable, match=message):
        read(body)


@pytest.mark.parametrize("vector", [[0.25, -0.5], "AACAPgAAAL8="])
def test_an_answer_comes_back_as_it_was(vector: Any) -> None:
    body = answer(vector)
    stored = EMBEDDINGS.assemble(body, "application/json", ask("a"))
    assert stored == Answer(body, "application/json", Usage(2))
    reply = EMBEDDINGS.replay(stored, ask("a"), Replay(0, str))
    assert reply == Reply(body, "application/json")
    CreateEmbeddingResponse.construct(**orjson.loads(reply.body))


def test_mistral_s_identifier_is_fresh() -> None:
    body = orjson.dumps({"id": "0f8fad5bd9cb469fa16570867728950e"} | orjson.loads(answer([1.0])))
    told = orjson.loads(EMBEDDINGS.replay(Answer(body), ask("a"), Replay(0, str)).body)
    assert told == orjson.loads(body) | {"id": told["id"]}
    assert re.fullmatch("(?!0f8fad5b)[0-9a-f]{32}", told["id"])


def test_zero_usage_keeps_the_fields() -> None:
    reply = EMBEDDINGS.replay(Answer(answer([1.0])), ask("a"), Replay(0, str, zero_usage=True))
    assert orjson.loads(reply.body)["usage"] == {"prompt_tokens": 0, "total_tokens": 0}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "empty body"),
        (b"{", "not JSON"),
        (b"data: {}\n\n", "a stream"),
        (b'{"error": "no"}', "error: no"),
        (b"{}", "expected a list of embeddings"),
        (answer(), "0 embeddings for 1 inputs"),
        (answer([]), "expected a list of embeddings"),
        (answer([1.0], [2.0]), "2 embeddings for 1 inputs"),
    ],
)
def test_what_is_not_whole_and_good_is_not_stored(body: bytes, message: str) -> None:
    with pytest.raises(Unstorable, match=message):
        EMBEDDINGS.assemble(body, "", ask("a"))


def test_a_batch_has_an_embedding_for_each_input() -> None:
    assert EMBEDDINGS.assemble(answer([1.0], [2.0]), "", ask("a", "b")).usage == Usage(2)
    with pytest.raises(Unstorable, match="1 embeddings for 2 inputs"):
        EMBEDDINGS.assemble(answer([1.0]), "", ask("a", "b"))
