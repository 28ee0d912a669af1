"""Rules that refuse to keep personal data, and what is taken for such."""

import json
import re

import pytest
from tests.support.lives import make_life
from tests.unit.calls.conftest import PARIS, RULES, Bench

from askonce.calls.personal_data import kind_of, personal_data
from askonce.rules import ConfigError, Document, Rules
from askonce.rules import document as rules_document


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Write to ann.smith+news@mail.example.co.uk, please.", "e-mail address"),
        ("Ring +44 20 7946 0018 or come by.", "phone number"),
        ("My number is +49 (30) 901820.", "phone number"),
        ("The card is 4111 1111 1111 1111, good until 12/29.", "payment card"),
        ("5500-0000-0000-0004", "payment card"),
        ("Send it to DE89 3704 0044 0532 0130 00.", "bank account"),
        ("GB33BUKB20201555555555", "bank account"),
        ("SSN: 536-90-4399", "identity number"),
        ("codice fiscale RCCMNL83S18D969H", "identity number"),
        ("DNI 54362315K", "identity number"),
    ],
)
def test_what_is_found(text: str, kind: str) -> None:
    assert kind_of(text) == kind


@pytest.mark.parametrize(
    "text",
    [
        "What is the capital of France?",
        "Why does user@host not resolve, and what is @property in Python?",
        "Add 1 + 4111111111111112, then +1 + 2 + 3.",
        "It was 2026-01-19T12:00:00.123456Z, version 3.13.0, order 12345678, at 10.0.0.1:8080.",
        "chatcmpl-4111111111111111 and f4111111111111111",
        "DE00 3704 0044 0532 0130 00",
        "000-12-3456",
        "+99 999 999 999 999",
    ],
)
def test_what_is_none(text: str) -> None:
    assert kind_of(text) == ""


@pytest.mark.parametrize("before", [0, 16_300, 16_370, 16_384, 40_000])
def test_it_looks_at_all_of_a_long_text(before: int) -> None:
    assert kind_of(" " * before + "ann@example.com" + " " * 20_000) == "e-mail address"


def test_it_looks_into_json_wherever_it_stands() -> None:
    assert personal_data([json.dumps({"a": [{"b": "x\u0040y\n"}, "ann@example.com"]}).encode()]) == "e-mail address"
    assert personal_data([b'{"a": "ann\\u0040example.com"}']) == "e-mail address"
    assert personal_data([json.dumps({"ann@example.com": 1}).encode()]) == "e-mail address"
    assert personal_data([b"no JSON: ann@example.com \xff"]) == "e-mail address"
    assert personal_data([PARIS]) == ""


@pytest.fixture
def refusing(bench: Bench) -> Bench:
    bench.rules = Rules(Document.parse(re.sub("ttl: 1h", "ttl: 1h, personal_data: refuse", RULES), environ={}))
    bench.life = make_life(bench.rules, bench.cache, clock=bench.clock)
    bench.accounting = bench.life.accounting
    return bench


async def test_it_is_not_kept_and_told(refusing: Bench) -> None:
    asked = "What is the capital of France? I am ann@example.com."
    for _ in range(2):
        assert not await refusing.is_hit(asked)
    record = refusing.accounting.latest()[0][1]
    assert (record.unkept, record.prompt, record.stored) == ("personal data: e-mail address", "", False)
    assert refusing.accounting.personal_data() == {"e-mail address": 2}
    assert await refusing.cache.list() == []


async def test_an_answer_with_some_is_not_kept_and_others_are(refusing: Bench) -> None:
    exchange, _ = await refusing.enter("Who is the consul?")
    await refusing.answer(exchange, PARIS.replace(b"Paris.", b"Ring +44 20 7946 0018."))
    assert exchange.unkept == "personal data: phone number"
    await refusing.call()
    assert await refusing.is_hit()


async def test_where_nothing_is_said_it_is_kept(bench: Bench) -> None:
    await bench.call("I am ann@example.com.")
    assert await bench.is_hit("I am ann@example.com.")


def test_a_rule_that_refuses_needs_what_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules_document, "find_spec", lambda name: None)
    text = re.sub("ttl: 1h", "personal_data: refuse", RULES)
    expected = r"rules\.yaml:2: defaults\.personal_data: what finds personal data is not installed: pip install"
    with pytest.raises(ConfigError, match=expected):
        Document.parse(text, environ={})
    assert Document.parse(text.replace("refuse", "keep"), environ={}).defaults.personal_data == "keep"
