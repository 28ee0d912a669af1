import re
from typing import Any

import orjson
import pytest

from askonce.call import Unreadable
from askonce.wire import common
from askonce.wire.base import Replay


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not JSON"),
        (b'{"a":1e999}', "not JSON"),
        (b"[1]", "found list"),
        (b'{"a":1,"a":1}', "'a' is there twice"),
        (b'{"b":{"a":1,"a":2}}', "'a' is there twice"),
        (b'{"a\\u003ab":1,"a:b":2}', "twice"),
        (b'{"a":' + b"[" * 300 + b"]" * 300 + b"}", "too deeply"),
    ],
)
def test_load_object_refuses(body: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        common.load_object(body)


def test_load_object_takes_colons_in_text() -> None:
    assert common.load_object(b' {"a": ": \\u003a :", "b": {"a": 1}}') == {"a": ": : :", "b": {"a": 1}}


def test_growing_adds_to_what_was_there() -> None:
    first, second, texts = {"a": "1", "b": ""}, {"a": ""}, common.Growing()
    for holder, field, text in ((first, "a", "2"), (second, "a", "x"), (first, "b", "y"), (first, "a", "3")):
        texts.add(holder, field, text)
    texts.join()
    assert (first, second) == ({"a": "123", "b": "y"}, {"a": "x"})


@pytest.mark.parametrize(
    ("text", "items", "groups"),
    [
        ("", [], []),
        ("ab", [{"t": "a"}, {"t": "b"}], [("a", [{"t": "a"}]), ("b", [{"t": "b"}])]),
        ("ab", [{"t": "a"}, {"t": "x"}], [("ab", [{"t": "a"}, {"t": "x"}])]),
        ("ab", [{"t": None}], [("ab", [{"t": None}])]),
        ("", [1], [("", [1])]),
        ("ab", [], [("ab", [])]),
    ],
)
def test_token_groups(text: str, items: list[Any], groups: Any) -> None:
    assert common.token_groups(text, items, "t") == groups


@pytest.mark.parametrize(
    ("like", "now"),
    [
        ("2026-11-20T09:12:04Z", "2027-01-15T08:00:00Z"),
        ("2026-11-20T09:12:04.123Z", "2027-01-15T08:00:00.250Z"),
        ("2026-11-20T09:12:04.123456789+00:00", "2027-01-15T08:00:00.250000000+00:00"),
        ("", "2027-01-15T08:00:00Z"),
    ],
)
def test_time_like(like: str, now: str) -> None:
    assert common.time_like(1_800_000_000.25, like) == now


def test_small_values() -> None:
    fresh = common.fresh_uuid(Replay(now=0, fresh_id=lambda prefix: prefix + "x"))
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", fresh)
    assert common.count_of({"a": 1, "b": 2.0, "c": None, "d": True}, "a", "b", "c", "d", "e") == 3
    assert common.count_of(None, "a") == 0
    assert common.zeroed({"a": 1, "b": [{"c": 2.5, "d": "x"}], "e": None}) == {
        "a": 0,
        "b": [{"c": 0, "d": "x"}],
        "e": None,
    }
    assert [common.same_number(value) for value in (1.0, 1.5, True, "1")] == [1, 1.5, True, "1"]
    fields = {"temperature": 1.0, "seed": 1.0, "top_p": 0.5}
    parts = common.by_part(fields, {"temperature": "sampling", "seed": "sampling"})
    assert orjson.dumps(parts) == b'{"sampling":{"temperature":1,"seed":1.0},"other":{"top_p":0.5}}'


@pytest.mark.parametrize("said", [None, "7", True, -1, 2**64, 1e300, [7]])
def test_what_is_no_count_of_tokens_counts_for_nothing(said: object) -> None:
    assert common.count_of({"input": said, "cached": 2.0}, "input", "cached", "missing") == 2
    assert common.count_of(said, "input") == 0


@pytest.mark.parametrize("name", ["image_url", "inlineData", "end_turn", "tool-call", "a.b:c", "x" * 40])
def test_a_kind_is_told_by_its_name(name: str) -> None:
    assert common.named(name) == name


@pytest.mark.parametrize("text", ["", "Who am I?", "two\nlines", "x" * 41, "é", "1st", 7, ["a"], {}, True])
def test_a_kind_that_is_no_name_is_not_told(text: object) -> None:
    assert common.named(text) == "unknown"
