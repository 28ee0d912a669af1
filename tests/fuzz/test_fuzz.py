"""A sample of what `python -m tests.fuzz` runs at length, and proof that it would find what it looks for."""

from __future__ import annotations

import random
import unicodedata
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mitmproxy import http
from tests.fuzz import corpus, mutate, reference, wrappers
from tests.fuzz.__main__ import run
from tests.fuzz.lanes import lanes

from askonce import jsontext
from askonce.cache.identity import Identifier
from askonce.cache.wrapped import Unwrapped
from askonce.call import Call, Request, Unreadable
from askonce.proxy import messages
from askonce.proxy.flow_state import Recorder
from askonce.rules.patterns import parse_jsonpath
from askonce.wire import wire_format
from askonce.wire.base import ReadOptions
from askonce.wire.openai_embeddings import OpenAIEmbeddings

CASES = 1500
LOADS = jsontext.loads
IDENTIFIER = Identifier(bytes(32))


async def test_a_sample_of_cases(request: pytest.FixtureRequest) -> None:
    outcomes, failed = await run(CASES, seed=request.config.option.seed)
    assert failed == 0
    assert outcomes["kept"] and outcomes["hit: exact"]


async def test_a_sample_reaches_every_outcome() -> None:
    outcomes, failed = await run(CASES, seed=13)
    assert failed == 0
    for outcome in (
        "kept",
        "hit: exact",
        "hit: reworded",
        "hit: embeddings",
        "asked in part",
        "refused",
        "wrapper: found",
    ):
        assert outcomes[outcome], outcome
    assert outcomes["request: rewritten"] > CASES / 100


async def test_both_lanes_answer_a_sample_alike(request: pytest.FixtureRequest) -> None:
    outcomes, failed = await run(300, request.config.option.seed, make=lanes)
    assert failed == 0
    assert outcomes["fast"] and outcomes["the longer way"]


async def test_a_lane_that_answers_otherwise_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    write = messages.write
    monkeypatch.setattr(messages, "write", lambda reply: write(reply).replace(b"x-cache: HIT", b"x-cache: MISS"))
    _, failed = await run(300, seed=13, failures=1, make=lanes)
    assert failed == 1


def words_alone(data: bytes | str) -> str:
    """Without what is neither letter nor number, punctuation nor space."""
    text = data if isinstance(data, str) else data.decode()
    return "".join(character for character in text if unicodedata.category(character)[0] in "LNPZ")


FAULTS: dict[str, tuple[Any, str, Any]] = {
    "the credential does not count": ("askonce.calls.reader", "_scope", lambda *_: "everybody"),
    "the path does not count": ("askonce.calls.reader", "_endpoint", lambda *_: ""),
    "one space more reaches the provider": (
        messages,
        "strip_directives",
        lambda request: setattr(request, "raw_content", b" " + (request.raw_content or b"")),
    ),
    "the app loses a byte": (Recorder, "__call__", lambda recorder, data: data[1:] or []),
    "embeddings are joined in another order": (
        OpenAIEmbeddings,
        "join",
        lambda wire, answers, whole=OpenAIEmbeddings.join: whole(wire, answers[::-1]),
    ),
    "a wrapper is embedded": ("askonce.cache.named_store", "unwrap", Unwrapped),
    "numbers are doubles": ("askonce.jsontext", "loads", orjson.loads),
    "signs and marks do not count": ("askonce.jsontext", "loads", lambda data: LOADS(words_alone(data))),
    "a fault of our own": (messages, "decoded", lambda *_: 1 / 0),
    "a hook that raises": (http.Request, "is_http10", property(lambda request: 1 / 0)),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_planted_fault_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    holder, name, replaced = FAULTS[fault]
    if isinstance(holder, str):
        monkeypatch.setattr(f"{holder}.{name}", replaced)
    else:
        monkeypatch.setattr(holder, name, replaced)
    _, failed = await run(CASES, seed=13, failures=1)
    assert failed == 1


def read(sent: corpus.Sent) -> Call | None:
    prompt = parse_jsonpath("$.query") if sent.wire == "generic" else None
    request = Request("POST", sent.host, sent.path, sent.query, {"accept": "*/*"}, sent.body)
    try:
        return wire_format(sent.wire).read(request, ReadOptions(prompt, (parse_jsonpath("$.user"),)))
    except Unreadable:
        return None


def key(call: Call) -> str:
    """What the cache takes for the same call; Python's == would take true for 1."""
    return IDENTIFIER.identify(call, host="h", scope="s").key


def test_the_only_content_may_be_worded_otherwise() -> None:
    body = b'{"contents": {"role": "user", "parts": [{"text": "Why?"}]}}'
    sent = corpus.Sent("gemini", "h", "/p", "", [], body)
    assert reference.is_prompt(sent, ("body", "contents", 0, "parts", 0, "text"))


def test_a_question_may_begin_with_a_word_and_a_colon() -> None:
    around, asked = "System: Be brief.\nHuman: ", ("Translate this.", "Translate: this.", "Translate this.\nAI: Done.")
    first, second, third = (wrappers._apart(around + question) for question in asked)
    assert first == second != third


@settings(max_examples=400, deadline=None)
@given(st.randoms(use_true_random=False))
def test_two_requests_that_read_alike_are_the_same(rng: random.Random) -> None:
    one = corpus.request(rng, semantic=False)
    other = corpus.Sent(one.wire, one.host, one.path, one.query, one.headers, one.body)
    for _ in range(rng.randint(1, 3)):
        one, other = other, one
        one.body = (
            rng.choice((mutate.changed, mutate.bent, mutate.renumbered, mutate.respelt))(one.body, rng) or one.body
        )
        first, second = read(one), read(other)
        if first and second and key(first) == key(second):
            assert reference.differences(reference.meant(one), reference.meant(other)) == []
        if first is None:
            return


@settings(max_examples=200, deadline=None)
@given(st.randoms(use_true_random=False))
def test_a_request_in_other_bytes_reads_alike(rng: random.Random) -> None:
    sent = corpus.request(rng, semantic=False)
    first = read(sent)
    sent.body = mutate.rewritten(sent.body, sent.wire, rng)
    second = read(sent)
    assert first and second
    assert key(first) == key(second)
    assert [key(item) for item in first.items] == [key(item) for item in second.items]
