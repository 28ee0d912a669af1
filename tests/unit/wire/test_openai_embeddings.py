"""OpenAI's embeddings."""

import itertools
import re
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import CreateEmbeddingResponse

from askonce.call import Answer, Call, Reply, Request, Unreadable, Unstorable, Usage
from askonce.rules.patterns import parse_jsonpath
from askonce.wire import wire_format
from askonce.wire.base import Divisible, ReadOptions, Replay

Json = dict[str, Any]

EMBEDDINGS = wire_format("openai-embeddings")
assert isinstance(EMBEDDINGS, Divisible)
MODEL = "text-embedding-3-small"
TOKENS = st.lists(st.integers(0, 100_000), min_size=1, max_size=5)
INPUTS = st.lists(st.text(), min_size=2, max_size=6) | st.lists(TOKENS, min_size=2, max_size=6)


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


# Batches, input by input


@given(INPUTS, st.sampled_from([{}, {"dimensions": 8, "encoding_format": "base64", "user": "u"}]))
def test_an_input_of_a_batch_is_the_call_that_asks_it_alone(inputs: list[Any], fields: Json) -> None:
    call = read({"model": MODEL, "input": inputs, **fields})
    assert call.items == tuple(read({"model": MODEL, "input": [one], **fields}) for one in inputs)
    assert not any(item.items for item in call.items)


def test_one_input_is_no_batch_nor_one_whose_prompt_is_elsewhere() -> None:
    for call in (ask("a"), ask(["a"]), ask([1, 2]), ask([[1, 2]])):
        assert call.items == ()
    elsewhere = ReadOptions(parse_jsonpath("$.task"))
    assert read({"model": MODEL, "input": ["a", "b"], "task": "t"}, elsewhere).items == ()


@given(INPUTS, st.data())
def test_only_what_is_wanted_is_asked_and_all_else_as_it_was(inputs: list[Any], data: st.DataObject) -> None:
    body = {"dimensions": 8, "input": inputs, "model": MODEL, "x": {"y": [1.5, None]}}
    wanted = data.draw(st.lists(st.integers(0, len(inputs) - 1), unique=True, min_size=1).map(sorted))
    assert orjson.loads(EMBEDDINGS.only(orjson.dumps(body), wanted)) == body | {"input": [inputs[at] for at in wanted]}


@given(INPUTS, st.integers(0, 1000))
def test_a_divided_answer_joins_to_itself(inputs: list[Any], used: int) -> None:
    call = read({"model": MODEL, "input": inputs})
    vectors = [[float(number), -0.5] for number in range(len(inputs))]
    whole = orjson.loads(answer(*vectors)) | {"usage": {"prompt_tokens": used, "total_tokens": used, "unit": "token"}}
    parts = EMBEDDINGS.divide(EMBEDDINGS.assemble(orjson.dumps(whole), "", call), call)
    for vector, part, item in zip(vectors, parts, call.items, strict=True):
        assert orjson.loads(part.body)["data"] == [{"object": "embedding", "index": 0, "embedding": vector}]
        assert EMBEDDINGS.assemble(part.body, part.content_type, item) == part
    joined = EMBEDDINGS.join(parts)
    assert orjson.loads(joined.body) == whole
    assert joined.usage == Usage(used)


def test_usage_is_shared_out_by_the_length_of_the_inputs() -> None:
    call = ask([1, 2, 3], [4])
    parts = EMBEDDINGS.divide(EMBEDDINGS.assemble(answer([1.0], [2.0]).replace(b":2", b":8"), "", call), call)
    assert [part.usage for part in parts] == [Usage(6), Usage(2)]


def test_answers_in_another_order_go_by_their_index() -> None:
    body = orjson.loads(answer([1.0], [2.0]))
    body["data"].reverse()
    call = ask("a", "b")
    first, second = EMBEDDINGS.divide(EMBEDDINGS.assemble(orjson.dumps(body), "", call), call)
    assert b"[1.0]" in first.body
    assert b"[2.0]" in second.body
    for item in body["data"]:
        del item["index"]
    first, second = EMBEDDINGS.divide(EMBEDDINGS.assemble(orjson.dumps(body), "", call), call)
    assert b"[2.0]" in first.body  # nothing but its place tells


@pytest.mark.parametrize("index", [1, 2, -1, None, "0", [0]])
def test_indexes_that_are_not_those_of_the_inputs(index: Any) -> None:
    body = orjson.loads(answer([1.0], [2.0]))
    body["data"][0]["index"] = index
    call = ask("a", "b")
    with pytest.raises(Unstorable, match="index"):
        EMBEDDINGS.divide(EMBEDDINGS.assemble(orjson.dumps(body), "", call), call)


def test_without_usage_nothing_is_made_up() -> None:
    body = orjson.loads(answer([1.0], [2.0]))
    del body["usage"]
    call = ask("a", "b")
    parts = EMBEDDINGS.divide(EMBEDDINGS.assemble(orjson.dumps(body), "", call), call)
    assert [orjson.loads(part.body).keys() for part in parts] == [{"object", "data", "model"}] * 2
    assert orjson.loads(EMBEDDINGS.join(parts).body) == body


def test_texts_among_tokens_are_no_batch() -> None:
    """Providers refuse it, so that joining the answers to its items would be an answer that nobody gives."""
    with pytest.raises(Unreadable, match=r"^input\[1\]: a list among others, expected all of one kind$"):
        ask("a", [7, 8])
