"""What is kept of what becomes no call: bounded, counted, the newest first."""

import itertools

from askonce.network import strays
from askonce.network.strays import Strays


def test_what_is_alike_is_counted_and_the_newest_comes_first() -> None:
    held = Strays(itertools.count(1.0).__next__)
    held.note("foreign", "a.example", 443, "tunnel")
    held.note("unmatched", "::1", 80, "GET /x")
    held.note("foreign", "a.example", 443, "tunnel")
    first, second = held.newest_first()
    assert (first.kind, first.place, first.detail, first.count, first.last) == (
        "foreign",
        "a.example:443",
        "tunnel",
        2,
        3.0,
    )
    assert (second.place, second.count) == ("[::1]:80", 1)


def test_many_of_one_kind_push_out_none_of_another() -> None:
    held = Strays()
    held.note("untrusted", "a.example", 443)
    for number in range(3 * strays._MOST):
        held.note("foreign", f"{number}.example", 443, "é\ud800" * 1000)
    found = held.newest_first()
    assert len(found) == strays._MOST + 1
    assert sum(stray.kind == "untrusted" for stray in found) == 1
    assert all(len(stray.detail) <= 2 * strays._LONGEST for stray in found)
