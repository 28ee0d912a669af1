"""The life of a call, without mitmproxy: a real cache, real rules, and a provider that is two lines of JSON."""

import asyncio
import gzip
import json
import logging
from typing import Any

import pytest
from tests.support.waiting import PATIENCE, Followed
from tests.unit.calls.conftest import FRANCE_REWORDED, JSON, PARIS, STREAM, Bench

from askonce.call import Unstorable
from askonce.calls.response_headers import fresh_id
from askonce.calls.state import Declined, Hit, Leading

# Hits and misses


@pytest.mark.both_stores
async def test_the_provider_is_asked_once(bench: Bench) -> None:
    assert (await bench.call())["cache-status"] == "askonce; fwd=miss; stored"
    exchange, reply = await bench.enter()
    assert reply
    assert (exchange.outcome, exchange.state, exchange.status) == ("exact", Hit(), 200)
    body = json.loads(reply.body)
    assert body["choices"][0]["message"]["content"] == "Paris."
    assert body["id"] != "chatcmpl-1"
    assert body["created"] == int(bench.clock.now)
    assert bench.asked == 1


@pytest.mark.both_stores
async def test_what_does_not_last_is_told_and_given_to_the_same_call_alone(bench: Bench) -> None:
    asked = "Is the museum open right now?"
    assert (await bench.call(asked))["cache-status"] == "askonce; fwd=miss; stored; detail=volatile"
    assert (await bench.call("is the museum open right now"))["cache-status"].endswith("detail=volatile")
    assert "; hit; ttl=300; detail=exact" in (await bench.call(asked))["cache-status"]
    exchange, _ = await bench.enter("Is the museum open right now, please?")
    assert (exchange.why, exchange.record(None, None, False, 0.0).reuse) == ("volatile: right now", "volatile")


@pytest.mark.both_stores
async def test_another_wording_is_answered_and_a_look_alike_is_not(bench: Bench) -> None:
    await bench.call()
    assert (await bench.call(FRANCE_REWORDED))["cache-status"].endswith("detail=semantic")
    miss = await bench.call("What is the capital of Germany?")
    assert miss["cache-status"].startswith("askonce; fwd=miss")
    assert 0 < float(miss["x-cache-similarity"]) < 1  # how near the nearest was
    assert bench.asked == 2


@pytest.mark.both_stores
async def test_every_answer_names_what_was_asked(bench: Bench) -> None:
    missed = await bench.call()
    exact, reworded = await bench.call(), await bench.call(FRANCE_REWORDED)
    assert missed["x-askonce-call"] == exact["x-askonce-call"] == exact["x-cache-key"] == reworded["x-cache-key"]
    assert reworded["x-askonce-call"] != exact["x-askonce-call"]
    assert bench.accounting.latest()[0][1].asked == reworded["x-askonce-call"]
    assert "x-askonce-call" not in await bench.call(b"no JSON")


async def test_a_hit_tells_its_age_and_what_is_left(bench: Bench) -> None:
    await bench.call()
    bench.clock.now += 600
    headers = await bench.call()
    assert headers["cache-status"] == "askonce; hit; ttl=3000; detail=exact"
    assert headers["age"] == headers["x-cache-age"] == "600"
    assert headers["x-cache"] == "HIT"
    assert headers["x-cache-similarity"] == headers["x-similarity-score"] == "1.0000"
    assert await bench.cache.get(headers["x-cache-key"])


@pytest.mark.both_stores
async def test_an_answer_past_its_time_is_asked_again(bench: Bench) -> None:
    await bench.call()
    bench.clock.now += 3600
    assert not await bench.is_hit()
    assert await bench.is_hit()


@pytest.mark.both_stores
async def test_a_stream_and_a_plain_call_share_an_answer(bench: Bench) -> None:
    exchange, _ = await bench.enter(stream=True)
    await bench.answer(exchange, STREAM, headers=(("content-type", "text/event-stream"),))
    _, reply = await bench.enter()
    assert reply
    assert json.loads(reply.body)["choices"][0]["message"]["content"] == "Paris."
    _, reply = await bench.enter(stream=True)
    assert reply
    assert reply.content_type.startswith("text/event-stream")
    assert reply.body.endswith(b"data: [DONE]\n\n")


# Whose answer it is


@pytest.mark.parametrize(
    ("rule", "first", "second", "shared"),
    [
        ("chat", {"authorization": "Bearer sk-1"}, {"authorization": "Bearer sk-1"}, True),
        ("chat", {"authorization": "Bearer sk-1"}, {"authorization": "Bearer sk-2"}, False),
        ("chat", {"api-key": "a", "authorization": ""}, {"api-key": "b", "authorization": ""}, False),
        ("shared", {"authorization": "Bearer sk-1"}, {"authorization": "Bearer sk-2"}, True),
        ("team", {"x-team": "a", "authorization": "1"}, {"x-team": "a", "authorization": "2"}, True),
        ("team", {"x-team": "a"}, {"x-team": "b"}, False),
        ("team", {"x-team": "a"}, {}, False),
        ("shared", {}, {"x-cache-namespace": "other"}, False),
    ],
)
async def test_scope_and_namespace_say_who_shares(
    bench: Bench, rule: str, first: dict[str, str], second: dict[str, str], shared: bool
) -> None:
    await bench.call(rule=rule, headers=first)
    assert await bench.is_hit(rule=rule, headers=second) is shared


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ({}, {"path": "/v2/chat"}, False),
        ({"query": "api-version=1"}, {"query": "api-version=2"}, False),
        ({"query": "a=1&b=2"}, {"query": "b=2&a=1"}, True),
        ({"query": "a=1&api_key=sk"}, {"query": "a=1&api_key=sk"}, True),
        ({"temperature": 0}, {}, False),
        ({"user": "alice"}, {"user": "bob"}, True),
        ({"brand_new_field": 1}, {"brand_new_field": 2}, False),
    ],
)
async def test_what_must_be_equal(bench: Bench, first: dict[str, Any], second: dict[str, Any], shared: bool) -> None:
    await bench.call(**first)
    assert await bench.is_hit(**second) is shared


async def test_above_the_rules_temperature_only_identical_calls_are_answered(bench: Bench) -> None:
    await bench.call(rule="cold", temperature=0.9)
    assert not await bench.is_hit(FRANCE_REWORDED, rule="cold", temperature=0.9)
    assert await bench.is_hit(rule="cold", temperature=0.9)
    await bench.call(rule="cold", temperature=0.5)
    assert await bench.is_hit(FRANCE_REWORDED, rule="cold", temperature=0.5)
    await bench.call(rule="cold")  # providers take 1 where a request names none
    assert not await bench.is_hit(FRANCE_REWORDED, rule="cold")


@pytest.mark.both_stores
async def test_a_rule_may_ask_for_identical_calls_only_or_for_none(bench: Bench) -> None:
    await bench.call(rule="exact")
    assert not await bench.is_hit(FRANCE_REWORDED, rule="exact")
    assert await bench.is_hit(rule="exact")
    for _ in range(2):
        assert await bench.call(rule="none") == {"cache-status": "askonce; fwd=bypass; detail=rule"}


# Directives


@pytest.mark.both_stores
async def test_directives(bench: Bench) -> None:
    def ask(control: str) -> Any:
        return bench.enter(headers={"cache-control": control})

    _, reply = await ask("only-if-cached")
    assert reply
    assert (reply.status, dict(reply.headers)["x-cache"]) == (504, "MISS")
    exchange, reply = await ask("no-store")
    assert (exchange.outcome, exchange.bypass, reply) == ("bypass", "no-store", None)
    assert dict(bench.life.pass_on(exchange, 200)) == {"cache-status": "askonce; fwd=bypass; detail=no-store"}
    assert not exchange.is_recorded
    exchange, reply = await ask("no-cache")
    assert reply is None
    assert (await bench.answer(exchange))["cache-status"] == "askonce; fwd=request; stored"
    bench.clock.now += 100
    for control, hit in (("only-if-cached", True), ("max-age=100", True), ("max-age=99", False), ("no-cache", False)):
        exchange, reply = await ask(control)
        assert bool(reply) is hit
        bench.life.account(exchange)


@pytest.mark.both_stores
async def test_a_call_is_in_flight_until_it_is_counted_and_kept(bench: Bench) -> None:
    def read() -> bytes:
        assert bench.accounting.in_flight == 2
        return PARIS

    exchange, _ = await bench.enter()
    other, _ = await bench.enter("Who wrote Hamlet?")
    assert bench.accounting.in_flight == 2
    await bench.answer(exchange, read=read)
    assert bench.accounting.in_flight == 1
    for _ in range(2):  # mitmproxy may say twice that a call is over
        bench.life.account(other)
    stats = bench.accounting.stats()
    assert (stats["in_flight"], stats["calls"], stats["stored"]) == (0, 2, 1)


# What is not kept


@pytest.mark.parametrize("status", [201, 204, 301, 400, 429, 500])
async def test_only_a_whole_good_answer_is_kept(bench: Bench, status: int) -> None:
    exchange, _ = await bench.enter()
    added = await bench.answer(exchange, b"" if status == 204 else PARIS, status=status)
    assert ("stored" in added["cache-status"]) is (200 <= status < 300)
    assert await bench.is_hit() is (status == 201)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (PARIS[:-10], "application/json"),
        (b"", "application/json"),
        (b'{"error": {"message": "no"}}', "application/json"),
        (PARIS.replace(b'"stop"', b'"length"'), "application/json"),
        (PARIS.replace(b'"stop"', b'"content_filter"'), "application/json"),
        (STREAM.partition(b"\n\n")[0] + b"\n\n", "text/event-stream"),
        (STREAM[:100], "text/event-stream"),
        (b"<html>", "text/html"),
    ],
)
async def test_half_an_answer_is_not_kept(bench: Bench, body: bytes, content_type: str) -> None:
    exchange, _ = await bench.enter()
    await bench.answer(exchange, body, headers=(("content-type", content_type),))
    assert bench.accounting.stats()["stored"] == 0
    assert bench.accounting.faults() == {}
    assert not await bench.is_hit()


@pytest.mark.both_stores
async def test_a_large_answer_is_not_kept(bench: Bench) -> None:
    await bench.call(rule="small")
    assert not await bench.is_hit(rule="small")


async def test_an_answer_that_does_not_decode_is_not_kept(bench: Bench) -> None:
    def read() -> bytes:
        raise Unstorable("does not decode as gzip")

    exchange, _ = await bench.enter()
    await bench.answer(exchange, read=read)
    assert not await bench.is_hit()


async def test_headers_of_one_answer_are_not_repeated_with_another(bench: Bench) -> None:
    headers = (
        *JSON,
        ("X-Request-Id", "req_1"),
        ("OpenAI-Version", "2020-10-01"),
        ("Set-Cookie", "a=1"),
        ("OpenAI-Organization", "mine"),
        ("x-ratelimit-remaining-requests", "7"),
        ("Date", "Sat, 01 Jan 2000 00:00:00 GMT"),
        ("Content-Encoding", "gzip"),
        ("Transfer-Encoding", "chunked"),
        ("CF-Ray", "1"),
        ("X-Cache", "HIT from elsewhere"),
        ("Age", "5"),
    )
    exchange, _ = await bench.enter()
    await bench.answer(exchange, headers=headers)
    first, second = [await bench.call() for _ in range(2)]
    assert first["openai-version"] == "2020-10-01"
    assert first["x-request-id"].startswith("req_")
    assert len({"req_1", first["x-request-id"], second["x-request-id"]}) == 3
    theirs = {name.lower() for name, _ in headers} - {"x-request-id", "openai-version", "x-cache", "age"}
    assert theirs.isdisjoint(first)
    assert (first["x-cache"], first["age"]) == ("HIT", "0")


@pytest.mark.parametrize(("name", "kept"), [("openai-version", True), ("content-type", False)])
async def test_headers_that_are_no_text_are_not_repeated(bench: Bench, name: str, kept: bool) -> None:
    exchange, _ = await bench.enter()
    await bench.answer(exchange, headers=((name, "\udcff"),))
    assert (bench.accounting.stats()["stored"], bench.accounting.faults()) == (int(kept), {})
    assert "openai-version" not in await bench.call()


# Faults


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"model": "gpt"}', b'{"messages": 1}', b"\xff", gzip.compress(b"{}", mtime=0)]
)
async def test_what_cannot_be_read_goes_to_the_provider(
    bench: Bench, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        exchange, reply = await bench.enter(body)
        assert (reply, exchange.bypass) == (None, "unreadable")
        assert await bench.answer(exchange) == {"cache-status": "askonce; fwd=bypass; detail=unreadable"}
    assert bench.accounting.stats()["bypasses"] == {"unreadable": 2}
    (record,) = caplog.records
    assert record.message.startswith("unreadable chat request: ")
    assert record.exc_info is None


class Broken:
    """A wire format that fails where it should not."""

    name = "broken"

    def read(self, request: Any, options: Any) -> Any:
        raise ZeroDivisionError("read")


async def test_a_fault_of_a_wire_format_is_a_miss(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    from dataclasses import replace

    broken = replace(bench.rule("chat"), wire=Broken())  # type: ignore[arg-type]
    exchange = bench.life.begin(broken, bench.request())
    assert exchange.bypass == "fault"
    assert await bench.life.look_up(exchange) is None
    await bench.answer(exchange)
    assert bench.accounting.faults() == {"reading a chat request": 1}
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.both_stores
async def test_a_fault_of_the_cache_is_a_miss(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    await bench.call()
    await bench.cache.close()
    exchange, reply = await bench.enter(FRANCE_REWORDED)
    assert reply is None
    await bench.answer(exchange)
    assert bench.accounting.stats()["calls"] == 2


# Calls side by side


@pytest.mark.both_stores
async def test_identical_calls_wait_for_the_first(bench: Bench, followed: Followed) -> None:
    leader, reply = await bench.enter()
    assert (leader.state, reply) == (Leading(), None)
    followers = [asyncio.ensure_future(bench.enter()) for _ in range(5)]
    await followed(5)
    assert not any(follower.done() for follower in followers)
    await bench.answer(leader)
    assert None not in [reply for _, reply in await asyncio.gather(*followers)]
    assert bench.asked == 1


@pytest.mark.both_stores
async def test_when_the_first_leaves_one_of_the_others_leads(bench: Bench, followed: Followed) -> None:
    leader, _ = await bench.enter()
    followers = [asyncio.ensure_future(bench.enter()) for _ in range(3)]
    await followed(3)
    bench.life.release(leader, "failed")
    bench.life.account(leader)
    done, waiting = await asyncio.wait(followers, return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE)
    assert (len(done), len(waiting)) == (1, 2)
    next_leader, reply = done.pop().result()
    assert (next_leader.state, reply) == (Leading(), None)
    await bench.answer(next_leader)
    assert None not in [reply for _, reply in await asyncio.gather(*waiting)]


@pytest.mark.both_stores
async def test_when_there_is_nothing_to_wait_for_all_go_on(bench: Bench, followed: Followed) -> None:
    leader, _ = await bench.enter()
    followers = [asyncio.ensure_future(bench.enter()) for _ in range(3)]
    await followed(3)
    await bench.answer(leader, b"overloaded", status=529)
    assert [reply for _, reply in await asyncio.wait_for(asyncio.gather(*followers), PATIENCE)] == [None] * 3


@pytest.mark.both_stores
async def test_nobody_waits_for_a_call_that_is_not_kept(bench: Bench) -> None:
    await bench.enter()
    for control in ("no-store", "no-cache", "only-if-cached"):
        async with asyncio.timeout(PATIENCE):
            exchange, _ = await bench.enter(headers={"cache-control": control})
            assert not isinstance(exchange.state, Leading)


@pytest.mark.both_stores
async def test_who_waits_for_a_call_that_is_declined_goes_on(bench: Bench, followed: Followed) -> None:
    leader, _ = await bench.enter()
    follower = asyncio.ensure_future(bench.enter())
    await followed(1)
    bench.life.decline(leader, 403)
    assert (leader.state, leader.status) == (Declined(), 403)
    _, reply = await asyncio.wait_for(follower, PATIENCE)
    assert reply is None


async def test_a_hit_that_cannot_be_sent_is_a_call_to_the_provider(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    await bench.call()
    with monkeypatch.context() as patch:
        patch.setattr("askonce.calls.lookup.response_headers.of_hit", broken)
        exchange, reply = await bench.enter()
    assert (reply, exchange.is_answered, exchange.outcome) == (None, False, "miss")
    await bench.answer(exchange)
    assert bench.accounting.faults()["looking up an answer"]


# Accounting


@pytest.mark.both_stores
async def test_what_a_call_saved_is_counted(bench: Bench) -> None:
    exchange, _ = await bench.enter()
    exchange.started -= 2  # the provider takes two seconds
    await bench.answer(exchange)
    await bench.call()
    await bench.call(FRANCE_REWORDED)
    stats = bench.accounting.stats()
    assert (stats["outcomes"]["miss"], stats["outcomes"]["exact"], stats["outcomes"]["semantic"]) == (1, 1, 1)
    assert stats["stored"] == 1
    assert stats["tokens_used"] == {"input": 7, "output": 2}
    assert stats["tokens_saved"] == {"input": 14, "output": 4}
    assert stats["usd_saved"] == pytest.approx(2 * (7 + 2 * 1_000_000) / 1e6)
    assert 3.5 < stats["seconds_saved"] < 4.5
    assert [decision["key"] for decision in stats["latest"]] == [exchange.identity.key] * 3  # type: ignore[union-attr]


async def test_a_call_that_got_no_answer_is_counted(bench: Bench) -> None:
    exchange, _ = await bench.enter()
    bench.life.account(exchange)
    assert bench.accounting.totals().failed == 1
    assert bench.accounting.providers() == {"chat": False}


def test_fresh_ids_look_like_openais_and_never_repeat() -> None:
    made = {fresh_id("chatcmpl-") for _ in range(1000)}
    assert len(made) == 1000
    assert all(len(one) == 38 and one[9:].isalnum() for one in made)
