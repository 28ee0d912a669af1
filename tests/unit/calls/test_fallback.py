"""Where the provider fails: an answer past its time, as far as rule and request allow (RFC 5861 section 4)."""

import pytest
from tests.unit.calls.conftest import FRANCE_REWORDED, RULES, Bench

from askonce.calls.fallback import may_fall_back
from askonce.calls.state import Exchange, FallenBack
from askonce.rules import Document, Rules


async def failing(bench: Bench, *arguments: str, rule: str = "lenient", **headers: str) -> Exchange:
    """A call whose answer is 90 minutes old, an hour of which is its ttl, and that the provider is asked again."""
    if not await bench.cache.count():
        await bench.call(rule=rule)
        bench.clock.now += 5400
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    exchange = bench.life.begin(bench.rule(rule), bench.request(*arguments, rule=rule, headers=named))
    exchange.is_direct = True
    assert await bench.life.look_up(exchange) is None
    return exchange


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (503, "fwd=stale; fwd-status=503; ttl=-1800; detail=stale-if-error"),
        (429, "fwd=stale; fwd-status=429; ttl=-1800; detail=stale-if-error"),
        (529, "fwd=stale; fwd-status=529; ttl=-1800; detail=stale-if-error"),
        (0, "fwd=stale; ttl=-1800; detail=stale-if-error"),
    ],
)
async def test_the_old_answer_is_served_and_says_so(bench: Bench, status: int, said: str) -> None:
    exchange = await failing(bench)
    reply = bench.life.fall_back(exchange, status)
    assert reply
    headers = dict(reply.headers)
    assert (headers["cache-status"], headers["age"]) == (f"askonce; {said}", "5400")
    assert exchange.state == FallenBack(status)
    bench.life.account(exchange)
    (_, record), *_ = bench.accounting.latest()
    assert (record.outcome, record.detail, record.forwarded) == ("exact", "stale-if-error", True)
    assert (record.unkept, record.stored) == (f"status {status}" if status else "no response", False)
    assert bench.accounting.providers() == {"lenient": False}
    assert bench.cache.stats()["exact_hits"] == 1


@pytest.mark.parametrize("status", [200, 400, 401, 404, 499])
async def test_what_is_no_failure_of_the_provider_is_passed_on(bench: Bench, status: int) -> None:
    exchange = await failing(bench)
    assert not may_fall_back(exchange, status)
    assert bench.life.fall_back(exchange, status) is None
    assert (await bench.answer(exchange, status=status))["cache-status"].startswith("askonce; fwd=stale")


@pytest.mark.parametrize(
    ("control", "is_served"),
    [
        ("stale-if-error=1801", True),
        ("stale-if-error=1800", False),
        ("stale-if-error=0", False),
        ("stale-if-error=99999", True),
        ("max-age=60", False),
        ("max-age=60, stale-if-error=3600", True),
        ("max-stale=60", False),
        ("no-cache", False),
        ("no-store", False),
    ],
)
async def test_a_request_can_ask_for_less(bench: Bench, control: str, is_served: bool) -> None:
    exchange = await failing(bench, cache_control=control)
    assert (bench.life.fall_back(exchange, 503) is not None) is is_served


@pytest.mark.both_stores
async def test_not_past_what_the_rule_allows(bench: Bench) -> None:
    await bench.call(rule="lenient")
    bench.clock.now += 7200
    assert (await failing(bench)).fallback is None


async def test_not_where_the_time_ends_while_the_provider_is_asked(bench: Bench) -> None:
    exchange = await failing(bench)
    bench.clock.now += 1800
    assert bench.life.fall_back(exchange, 503) is None


async def test_without_the_setting_errors_are_passed_on(bench: Bench) -> None:
    exchange = await failing(bench, rule="chat")
    assert bench.life.fall_back(exchange, 503) is None


async def test_not_where_nothing_is_served(bench: Bench) -> None:
    bench.life.rules = bench.rules = Rules(
        Document.parse(RULES.replace("stale_if_error: 1h", "stale_if_error: 1h, match: watch"))
    )
    assert (await failing(bench)).fallback is None


@pytest.mark.both_stores
async def test_only_the_same_call_has_it(bench: Bench) -> None:
    await failing(bench)
    assert (await failing(bench, FRANCE_REWORDED)).fallback is None


@pytest.mark.both_stores
async def test_not_what_was_deleted_meanwhile(bench: Bench) -> None:
    exchange = await failing(bench)
    await bench.cache.clear()
    assert bench.life.fall_back(exchange, 503) is None
    assert bench.cache.stats()["exact_hits"] == 0


@pytest.mark.both_stores
async def test_not_what_was_invalidated_meanwhile(bench: Bench) -> None:
    exchange = await failing(bench, x_askonce_depends="doc")
    assert exchange.fallback is None  # kept without that
    bench.life.account(exchange)
    await bench.call(rule="lenient", headers={"x-askonce-depends": "doc"})
    bench.clock.now += 5400
    exchange = await failing(bench, x_askonce_depends="doc")
    assert may_fall_back(exchange, 503)
    await bench.life._dependencies.invalidate("doc")
    assert bench.life.fall_back(exchange, 503) is None


async def test_who_waits_is_let_go_on(bench: Bench) -> None:
    exchange = await failing(bench)
    assert bench.life.fall_back(exchange, 503)
    assert len(bench.life._flights) == 0


async def test_a_longer_stale_if_error_makes_nothing_staler_otherwise(bench: Bench) -> None:
    await bench.call(rule="lenient")
    bench.clock.now += 3601
    exchange, reply = await bench.enter(rule="lenient")
    assert (reply, exchange.why) == (None, "expired")
