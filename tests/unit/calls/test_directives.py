"""What a caller may say about caching, and how that which is said of an answer is written."""

import math
from typing import Any

import http_sf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.calls.directives import Directives, cache_status, detail, read_directives


@pytest.mark.parametrize(
    ("control", "expected"),
    [
        ("no-cache", Directives(read=False)),
        ("No-Store", Directives(read=False, write=False)),
        ("max-age=60, only-if-cached", Directives(max_age=60, max_stale=0, stale_if_error=0, only_if_cached=True)),
        ("max-age=0", Directives(max_age=0, max_stale=0, stale_if_error=0)),
        ("max-age=-5", Directives(max_age=0, max_stale=0, stale_if_error=0)),
        ('max-age="60"', Directives(max_age=60, max_stale=0, stale_if_error=0)),
        ("max-age=99999999999999999999", Directives(max_age=2**31, max_stale=0, stale_if_error=0)),
        ("max-age=soon", Directives()),
        ("max-age", Directives()),
        ("min-fresh=60", Directives(min_fresh=60, max_stale=0, stale_if_error=0)),
        ("min-fresh=0", Directives(max_stale=0, stale_if_error=0)),
        ("max-stale=60", Directives(max_stale=60, stale_if_error=60)),
        ("max-stale=-1", Directives(max_stale=0, stale_if_error=0)),
        ("max-stale", Directives()),
        ("max-stale=60, max-age=60", Directives(max_age=60, max_stale=0, stale_if_error=0)),
        ("no-transform, immutable", Directives()),
        ("stale-if-error=5", Directives(stale_if_error=5)),
        ("max-age=60, stale-if-error=5", Directives(max_age=60, max_stale=0, stale_if_error=5)),
        ('foo="a, no-store", bar', Directives()),
        ("", Directives()),
        (",;=,", Directives()),
    ],
)
def test_cache_control(control: str, expected: Directives) -> None:
    assert read_directives({"cache-control": control}) == expected


def test_without_a_word_stale_answers_are_taken_as_far_as_the_rule_goes() -> None:
    assert read_directives({}).max_stale == read_directives({}).stale_if_error == math.inf


def test_a_namespace_stands_beside_it() -> None:
    assert read_directives({"x-cache-namespace": " tests "}) == Directives(namespace="tests")
    assert read_directives({"x-cache-namespace": "tests", "cache-control": "no-cache"}) == Directives(
        read=False, namespace="tests"
    )
    assert read_directives({}) == Directives()


_directives = st.sampled_from(
    ["no-cache", "no-store", "only-if-cached", "max-age", "min-fresh", "max-stale", "max-age=5", "min-fresh=5"]
)


@given(st.text() | st.lists(_directives | st.builds("max-stale={}".format, st.integers())).map(", ".join))
def test_nothing_a_caller_writes_is_an_error_or_widens_what_the_rule_allows(control: str) -> None:
    said, plain = read_directives({"cache-control": control}), Directives()
    assert (said.read <= plain.read, said.write <= plain.write) == (True, True)
    assert said.min_fresh >= 0 and 0 <= said.max_stale <= plain.max_stale
    assert said.stale_if_error >= 0
    assert said.max_age is None or said.max_age >= 0


def parsed(value: str) -> Any:
    """The parameters of a `Cache-Status` with one cache, as another implementation of RFC 9651 reads them."""
    ((cache, parameters),) = http_sf.parse(value.encode("ascii"), name="cache-status")
    assert cache == http_sf.Token("askonce")
    return parameters


def test_cache_status_is_a_structured_field() -> None:
    assert cache_status("hit", "ttl=60", detail("exact")) == "askonce; hit; ttl=60; detail=exact"
    assert parsed(cache_status("hit", "ttl=-3")) == {"hit": True, "ttl": -3}
    assert parsed(cache_status("fwd=miss", "stored")) == {"fwd": http_sf.Token("miss"), "stored": True}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no-store", "detail=no-store"),
        ("number: 5 / 7", 'detail="number: 5 / 7"'),
        ('say "a\\b"', 'detail="say \\"a\\\\b\\""'),
        ("größer\n", 'detail="gr??er?"'),
        ("", 'detail=""'),
        ("5", 'detail="5"'),
    ],
)
def test_detail(text: str, expected: str) -> None:
    assert detail(text) == expected


@given(st.text())
def test_any_detail_can_be_read_again(text: str) -> None:
    told = parsed(cache_status("fwd=miss", detail(text)))["detail"]
    assert str(told) == "".join(sign if " " <= sign <= "~" else "?" for sign in text)
