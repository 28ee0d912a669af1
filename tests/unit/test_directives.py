"""What a caller may say about caching."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.directives import Directives, cache_status, read_directives


@pytest.mark.parametrize(
    ("control", "expected"),
    [
        ("no-cache", Directives(read=False)),
        ("No-Store", Directives(read=False, write=False)),
        ("max-age=60, only-if-cached", Directives(max_age=60, only_if_cached=True)),
        ("max-age=0", Directives(max_age=0)),
        ("max-age=-5", Directives(max_age=0)),
        ("max-age=soon", Directives()),
        ('foo="a, no-store", bar', Directives()),
        ("", Directives()),
    ],
)
def test_cache_control(control: str, expected: Directives) -> None:
    assert read_directives({"cache-control": control}) == expected


def test_a_namespace_stands_beside_it() -> None:
    assert read_directives({"x-cache-namespace": " tests "}) == Directives(namespace="tests")
    assert read_directives({}) == Directives()


@given(st.text())
def test_nothing_a_caller_writes_is_an_error(control: str) -> None:
    assert isinstance(read_directives({"cache-control": control}), Directives)


def test_cache_status_is_a_list_of_parameters() -> None:
    assert cache_status("hit", "ttl=60") == "askonce; hit; ttl=60"
