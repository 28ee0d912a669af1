"""The smallest places where two JSON values differ."""

import copy
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from askonce import jsontext
from askonce.jsontext.differences import ABSENT, JsonDifference, apply, differences, excerpts, normalised, shorthand
from askonce.rules.patterns import parse_jsonpath

SCALARS = (
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from([0.0, 1.0, 0.5]) | st.text("ab'\\\n", max_size=2)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text("ab'\\\n", max_size=2), inner, max_size=4),
    max_leaves=20,
)


def written(value: Any) -> bytes:
    return jsontext.canonical(value)


@given(JSON, JSON, st.integers(0, 5))
@example([1, 2, 3], [2, 3], 5)
@example({"a": True}, {"a": 1}, 5)
@example([[1], 1.0], [[1.0], 1], 0)
def test_what_differs_makes_one_value_the_other(one: Any, other: Any, limit: int) -> None:
    found = differences(one, other, limit)
    assert written(apply(copy.deepcopy(one), found)) == written(other)
    assert (found == []) is (written(one) == written(other))


@given(JSON)
def test_a_value_does_not_differ_from_itself(value: Any) -> None:
    assert differences(value, copy.deepcopy(value)) == []


@given(JSON, JSON)
def test_a_path_leads_to_the_value_as_a_jsonpath(one: Any, other: Any) -> None:
    for path, before, after in differences(one, other):
        for side, value in ((one, before), (other, after)):
            if value is not ABSENT:
                assert parse_jsonpath(normalised(path))(side) == [(path, value)]
                assert parse_jsonpath(shorthand(path))(side) == [(path, value)]


def test_the_smallest_places_are_named() -> None:
    one = {"m": [{"role": "system", "text": "a"}, {"role": "user"}], "id": 1, "gone": None}
    other = {"m": [{"role": "system", "text": "b"}, {"role": "user"}], "id": 2, "new": []}
    assert differences(one, other) == [
        JsonDifference(("m", 0, "text"), "a", "b"),
        JsonDifference(("id",), 1, 2),
        JsonDifference(("new",), ABSENT, []),
        JsonDifference(("gone",), None, ABSENT),
    ]


def test_an_item_between_others_is_one_difference() -> None:
    assert differences(["a", "b", "c"], ["a", "x", "b", "c"]) == [JsonDifference((1,), ABSENT, "x")]
    assert differences(["a", "b", "c"], ["b", "c"]) == [JsonDifference((0,), "a", ABSENT)]
    assert differences(["a", "a"], ["a"]) == [JsonDifference((1,), "a", ABSENT)]


@pytest.mark.parametrize(("one", "other"), [("1", "1.0"), ("1e2", "1E2"), ("1", "true"), ("0", "false"), ("0", "-0")])
def test_values_that_python_takes_for_equal_differ(one: str, other: str) -> None:
    left, right = jsontext.loads(one), jsontext.loads(other)
    assert differences([left], [right]) == [JsonDifference((0,), left, right)]


def test_more_than_the_limit_is_one_difference() -> None:
    one, other = {"a": list(range(10)), "b": 1}, {"a": list(range(10, 20)), "b": 1}
    assert differences(one, other, limit=9) == [JsonDifference(("a",), one["a"], other["a"])]
    assert len(differences(one, other, limit=10)) == 10


def test_a_deep_body() -> None:
    def nested(leaf: int) -> Any:
        value: Any = leaf
        for _ in range(200):
            value = [list(range(50)), value, list(range(50))]
        return value

    [found] = differences(nested(1), nested(2))
    assert (len(found.path), found.one, found.other) == (200, 1, 2)


def test_paths_are_written_as_the_standard_says() -> None:
    assert normalised(("a", 0, "it's\n\x0b\\")) == r"$['a'][0]['it\'s\n\u000b\\']"
    assert normalised(()) == shorthand(()) == "$"
    assert shorthand(("messages", 0, "x-id", "é", "n1")) == "$.messages[0]['x-id']['é'].n1"


def test_long_texts_are_shown_from_where_they_differ() -> None:
    one, other = "x" * 100 + "A" + "y" * 100, "x" * 100 + "B" + "y" * 100
    assert excerpts(one, other, 40) == ("…" + "x" * 10 + "A" + "y" * 29 + "…", "…" + "x" * 10 + "B" + "y" * 29 + "…")
    assert excerpts("short", "shorter", 40) == ("short", "shorter")
    assert excerpts("same", "same", 40) == ("", "")
