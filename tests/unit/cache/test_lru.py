from hypothesis import given
from hypothesis import strategies as st

from askonce.cache.lru import LRU

STEPS = st.lists(st.tuples(st.sampled_from(["get", "put", "remove"]), st.integers(0, 6)))


@given(st.integers(1, 5), STEPS)
def test_those_used_last_are_held(most: int, steps: list[tuple[str, int]]) -> None:
    """Beside a list in which who is used goes to the end."""
    lru, order = LRU[int, int](most), list[int]()
    for step, key in steps:
        held = key in order
        if held:
            order.remove(key)
        if step == "get":
            assert lru.get(key) == (key if held else None)
            order += [key] if held else []
        elif step == "put":
            lru.put(key, key)
            order = [*order, key][-most:]
        else:
            lru.remove(key)
    assert [key for key, _ in lru.newest_first()] == order[::-1]
    assert len(lru) == len(order) <= most


def test_a_value_that_is_false_counts_as_held() -> None:
    lru = LRU[str, bool](2)
    lru.put("older", False)
    lru.put("newer", False)
    assert lru.get("older") is False
    lru.put("newest", True)
    assert "older" in lru
    assert "newer" not in lru
