"""What every store of answers promises, whichever it is: what goes in comes out, within limits, and what is gone is."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.entries import NOW, P, entry, with_vector
from tests.support.waiting import PATIENCE

from askonce.cache.learning.pools import Observation
from askonce.cache.store import AnswerStore, Entry, Filter, StoreError
from askonce.call import Answer, Turn, Usage

Open = Callable[..., AnswerStore]

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
entries = st.builds(
    Entry,
    key=st.binary(min_size=16, max_size=16).map(bytes.hex),
    partition=st.just(P),
    parts=st.dictionaries(text, text, max_size=3),
    upstream=text,
    host=text,
    wire=text,
    model=text,
    namespace=text,
    prompt=text,
    turns=st.lists(st.builds(Turn, text, text), max_size=3).map(tuple),
    answer=st.builds(
        Answer,
        st.binary(max_size=50),
        text,
        st.builds(Usage, st.integers(0, 2**40), st.integers(0, 2**40)),
        st.lists(st.tuples(text, text), max_size=3).map(tuple),
    ),
    created=st.floats(0, 2e9),
    expires=st.floats(0, 2e9),
    stale_until=st.floats(2e9, 3e9),
    upstream_seconds=st.floats(0, 1e4),
    embedder=text,
    labels=st.dictionaries(text, text, max_size=3),
    vector=st.none()
    | st.lists(st.floats(-1, 1, width=16), min_size=3, max_size=3).map(lambda v: np.array(v, np.float32)),
)


class Embedding:
    """What makes vectors of four dimensions."""

    name, dimension, limit = "e", 4, 400

    def embed(self, texts: Any) -> Any:
        raise AssertionError("nothing is embedded here")


EMBEDDER: Any = Embedding()


def numbers(found: Iterable[Entry]) -> list[int]:
    return [int(one.key, 16) for one in found]


@given(entries)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
def test_what_goes_in_comes_out(store: AnswerStore, entry: Entry) -> None:
    entry = replace(entry, partition=bytes.fromhex(entry.key)[::-1])  # a key tells the partition
    kept = store.put(entry).result(PATIENCE)
    assert kept == replace(entry, id=kept.id)
    for found in (store.get(entry.key), store.list(Filter(partition=entry.partition))[0]):
        assert found == kept
        np.testing.assert_array_equal(
            np.array(found.vector if found.vector is not None else []),
            np.array(entry.vector if entry.vector is not None else []),
        )


def test_a_key_that_is_none(store: AnswerStore) -> None:
    store.put(entry(1)).result(PATIENCE)
    assert store.get(entry(2).key) is store.get("no hex") is store.get("") is None
    assert store.delete("no hex").result(PATIENCE) is False


def test_the_same_key_is_replaced_under_a_new_id(store: AnswerStore) -> None:
    first = store.put(entry(1)).result(PATIENCE)
    second = store.put(entry(1, prompt="again")).result(PATIENCE)
    assert second.id > first.id
    assert store.take(P, [first.id, second.id]) == {second.id: second}
    assert store.same(P, bytes.fromhex(first.key)) == store.held(bytes.fromhex(first.key)) == second
    assert store.is_there(second) and not store.is_there(first)
    assert store.stats().entries == store.count() == 1


def test_one_is_put_over_what_was_seen_alone(store: AnswerStore) -> None:
    first = store.put_over(entry(1, prompt="first")).result(PATIENCE)
    assert first and first.id
    assert store.put_over(entry(1, prompt="unseen")).result(PATIENCE) is None
    second = store.put_over(replace(first, prompt="second")).result(PATIENCE)
    assert second and second.id > first.id
    assert store.put_over(replace(first, prompt="late")).result(PATIENCE) is None
    assert store.get(first.key) == second
    store.delete(first.key).result(PATIENCE)
    assert store.put_over(replace(second, prompt="gone")).result(PATIENCE) is None
    assert store.count() == 0


def test_entries_without_a_label_and_of_some_rules(store: AnswerStore) -> None:
    for number, (rule, labels) in enumerate([("a", {}), ("a", {"x": "1"}), ("b", {"y": ""}), ("c", {})]):
        store.put(entry(number, upstream=rule, labels=labels)).result(PATIENCE)
    assert numbers(store.list(Filter(upstreams=("a", "b")))) == [2, 1, 0]
    assert numbers(store.list(Filter(upstreams=("a", "b"), without="x"))) == [2, 0]
    assert numbers(store.list(Filter(upstreams=()))) == []
    assert store.count(Filter(without="x")) == 3


def test_ids_are_never_used_again(store: AnswerStore, open_store: Open) -> None:
    last = store.put(entry(1)).result(PATIENCE).id
    store.clear().result(PATIENCE)
    store.close()
    assert open_store().put(entry(2)).result(PATIENCE).id > last


def test_it_is_all_there_after_a_restart(store: AnswerStore, open_store: Open) -> None:
    kept = [store.put(with_vector(number, bytes([number % 3]) * 16)).result(PATIENCE) for number in range(10)]
    store.touch(kept[3].partition, kept[3].id)
    before, secret = store.stats(), store.secret()
    store.close()
    again = open_store()
    assert again.list(limit=99) == kept[::-1]
    after = again.stats()
    assert (after.entries, after.bytes, after.partitions, again.secret()) == (10, before.bytes, 3, secret)
    found = again.get(kept[3].key)
    assert found and found.hits == 1 and len(secret) == 32


def test_what_is_looked_up_is_found_by_its_key(store: AnswerStore, open_store: Open) -> None:
    kept = store.put(entry(1)).result(PATIENCE)
    key = bytes.fromhex(kept.key)
    assert store.held(key) == store.same(P, key) == kept
    assert store.has(key) and not store.lacks(key) and store.is_there(kept)
    assert not store.is_empty(P) and store.is_empty(b"q" * 16)
    assert store.same(P, bytes(16)) is store.held(bytes(16)) is None
    store.close()
    again = open_store()
    assert again.held(key) is None
    assert again.same(P, key) == again.held(key) == kept


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        (Filter(), [3, 2, 1, 0]),
        (Filter(upstream="two"), [2]),
        (Filter(model="other"), [1]),
        (Filter(namespace="blue"), [3, 2]),
        (Filter(namespace=""), [1, 0]),
        (Filter(since=NOW + 2), [3, 2]),
        (Filter(prompt="ESTION 1"), [1]),
        (Filter(prompt="100%"), [3]),
        (Filter(prompt="_"), []),
        (Filter(prompt="\\"), []),
        (Filter(namespace="blue", upstream="two"), [2]),
        (Filter(model="none"), []),
        (Filter(semantic=True), []),
        (Filter(semantic=False, partition=P), [3, 2, 1, 0]),
    ],
)
def test_filters_list_count_and_clear_the_same(store: AnswerStore, filter: Filter, expected: list[int]) -> None:
    for number, values in enumerate(
        [{}, {"model": "other"}, {"upstream": "two", "namespace": "blue"}, {"namespace": "blue", "prompt": "100% sure"}]
    ):
        store.put(entry(number, created=NOW + number, **values)).result(PATIENCE)
    assert numbers(store.list(filter)) == expected
    assert store.count(filter) == len(expected)
    assert store.clear(filter).result(PATIENCE) == len(expected)
    assert set(numbers(store.list())) == {0, 1, 2, 3} - set(expected)


def test_pages(store: AnswerStore) -> None:
    kept = [store.put(entry(number)).result(PATIENCE) for number in range(7)]
    assert numbers(store.list(offset=2, limit=3)) == [4, 3, 2]
    assert store.list(offset=7) == store.list(limit=0) == store.list(limit=-1) == []
    assert numbers(store.after(kept[2].id, 3)) == [3, 4, 5]
    assert numbers(store.alike("question 4", 9)) == [4]


def near(store: AnswerStore, partition: bytes, vector: list[float], most: int | None = 9, **given: Any) -> list[Any]:
    found = store.nearest(partition, EMBEDDER, np.array(vector, np.float32), most, **given)
    return [(one.id, round(one.cosine, 2), one.kin) for one in found]


def test_the_nearest_are_of_one_partition_and_one_embedder(store: AnswerStore) -> None:
    kept = [store.put(with_vector(number, kin=number)).result(PATIENCE) for number in range(3)]
    store.put(with_vector(3, partition=b"q" * 16)).result(PATIENCE)
    store.put(entry(6)).result(PATIENCE)
    store.put(with_vector(4, embedder="f")).result(PATIENCE)
    store.put(with_vector(5, dimension=8)).result(PATIENCE)
    one, two, three = (found.id for found in kept)
    assert near(store, P, [0.6, 0.8, 0, 0]) == [(two, 0.8, 1), (one, 0.6, 0), (three, 0.0, 2)]
    assert near(store, P, [0.6, 0.8, 0, 0], 1) == [(two, 0.8, 1)]
    assert near(store, P, [0, 0, 1, 0], None)[0] == (three, 1.0, 2)
    assert near(store, P, [1, 0, 0, 0], among=Filter(prompt="question 2")) == [(three, 0.0, 2)]
    assert near(store, b"r" * 16, [1, 0, 0, 0]) == []
    assert store.may_have_near(P, EMBEDDER)
    assert store.upstream_of(P) == "openai-chat" and store.upstream_of(b"r" * 16) == ""
    assert store.delete(kept[1].key).result(PATIENCE)
    assert [found[0] for found in near(store, P, [0.6, 0.8, 0, 0])] == [one, three]


def test_the_nearest_of_all_partitions_are_found(store: AnswerStore) -> None:
    kept = [store.put(with_vector(number, bytes([number]) * 16)).result(PATIENCE) for number in range(4)]
    found = store.search(EMBEDDER, np.array([0, 0.6, 0.8, 0], np.float32), 2)
    assert [(one, round(cosine, 2)) for one, cosine in found] == [(kept[2], 0.8), (kept[1], 0.6)]
    assert not store.search(EMBEDDER, np.array([1, 0, 0, 0], np.float32), 0)


def test_entries_are_found_and_deleted_by_their_labels(store: AnswerStore) -> None:
    for number, labels in enumerate(({"a": "1", "b": "1"}, {"a": "2"}, {}, {"b": "1"})):
        store.put(entry(number, labels=labels)).result(PATIENCE)
    store.put(entry(4, labels={"a": "1"}, partition=b"q" * 16, expires=NOW + 1)).result(PATIENCE)

    def found(**given: Any) -> list[int]:
        filter = Filter(**given)
        keys = numbers(store.list(filter))
        assert store.count(filter) == len(keys)
        return sorted(keys)

    assert found(labels={"a": "1"}) == [0, 4]
    assert found(labels={"a": None}) == [0, 1, 4]
    assert found(labels={"a": None, "b": "1"}) == [0]
    assert found(labels={"c": None}) == found(labels={"a": ""}) == []
    assert found(labels={}) == [0, 1, 2, 3, 4]
    assert found(labels={"a": "1"}, partition=b"q" * 16) == [4]
    assert found(labels={"a": "1"}, alive=NOW + 1) == [0]
    assert store.clear(Filter(labels={"a": "1"})).result(PATIENCE) == 2
    assert found(labels={"a": None}) == [1]
    store.put(entry(1, labels={"b": "9" * 5000})).result(PATIENCE)  # takes the place of the one with a label "a"
    assert found(labels={"a": None}) == []
    assert found(labels={"b": None}) == [1, 3] and found(labels={"b": "9" * 5000}) == [1]


def test_what_was_asked_is_read_by_itself(store: AnswerStore) -> None:
    small = store.put(entry(1)).result(PATIENCE)
    size = store.stats().bytes
    kept = store.put(entry(2, request=b"x" * 1000)).result(PATIENCE)
    assert store.stats().bytes == 2 * size + 1000
    assert (kept.request, store.get(kept.key), store.request(kept.key)) == (b"", kept, b"x" * 1000)
    assert [store.request(key) for key in (small.key, "00", "no key")] == [b"", b"", b""]


def test_the_least_recently_used_is_evicted(open_store: Open) -> None:
    moments = iter(range(10**6))
    store = open_store(max_entries=3, clock=lambda: NOW + next(moments))
    kept = [store.put(entry(number, created=NOW - 10 + number)).result(PATIENCE) for number in range(3)]
    store.touch(P, kept[0].id)  # the oldest
    store.put(entry(3)).result(PATIENCE)
    assert numbers(store.list()) == [3, 2, 0]
    store.put(entry(4)).result(PATIENCE)
    assert numbers(store.list()) == [4, 3, 0]
    assert (store.stats().evicted, store.stats().entries) == (2, 3)
    assert not store.is_there(kept[1]) and store.held(bytes.fromhex(kept[1].key)) is None


def test_bytes_are_counted_and_limited(open_store: Open) -> None:
    store = open_store(max_bytes=10_000)
    sizes = []
    for number in range(20):
        store.put(entry(number, answer=Answer(b"x" * 1000))).result(PATIENCE)
        sizes.append(store.stats().bytes)
    assert sizes[0] > 1000 and max(sizes) <= 10_000
    newest = numbers(store.list(limit=99))
    assert newest == list(range(19, 19 - len(newest), -1)) and 4 <= len(newest) <= 9
    store.clear().result(PATIENCE)
    assert (store.stats().bytes, store.stats().entries) == (0, 0)


def test_what_can_never_fit_is_refused(open_store: Open) -> None:
    store = open_store(max_bytes=10_000)
    store.put(entry(1)).result(PATIENCE)
    with pytest.raises(StoreError, match="more than the cache may hold"):
        store.put(entry(2, answer=Answer(b"x" * 10_000))).result(PATIENCE)
    assert store.count() == 1


def of(caller: str, namespace: str, number: int, **given: Any) -> Entry:
    """An entry of a caller's namespace."""
    parts = {"credential": caller * 16, "namespace": namespace * 16}
    return entry(number, parts=parts, partition=(caller * 8 + namespace * 8).encode(), **given)


def owners(store: AnswerStore) -> Counter[str]:
    return Counter(one.tenant[0] + one.tenant[-1] for one in store.list(limit=10_000))


def test_one_callers_many_entries_push_out_none_of_anothers(open_store: Open) -> None:
    store = open_store(max_entries=100)
    for number in range(30):
        store.put(of("a", "0", number, created=NOW - 100)).result(PATIENCE)
    for future in [store.put(of("b", "0", number)) for number in range(100, 400)]:
        future.result(PATIENCE)
    assert owners(store)["a0"] == 30
    assert 65 <= owners(store)["b0"] <= 70
    assert set(numbers(store.list(limit=5))) == {399, 398, 397, 396, 395}
    assert store.stats().evicted == 330 - store.count()


def test_bytes_are_shared_like_entries(open_store: Open) -> None:
    store = open_store(max_bytes=100_000)
    for number in range(20):
        store.put(of("a", "0", number, created=NOW - 100)).result(PATIENCE)
    for future in [store.put(of("b", "0", number, answer=Answer(b"x" * 5_000))) for number in range(100, 200)]:
        future.result(PATIENCE)
    assert owners(store)["a0"] == 20 and store.stats().bytes <= 100_000


def test_nobody_holds_more_than_a_share_where_one_is_set(open_store: Open) -> None:
    store = open_store(max_entries=1_000, max_bytes=200_000, max_share=0.1)
    for future in [store.put(of("a", "0", number, answer=Answer(b""))) for number in range(150)]:
        future.result(PATIENCE)
    stats = store.stats()
    assert stats.entries < 100 and stats.bytes <= 20_000
    assert stats.evicted == stats.evicted_over_share == 150 - stats.entries
    with pytest.raises(StoreError, match="may hold of one caller"):
        store.put(of("b", "0", 1000, answer=Answer(b"x" * 20_000))).result(PATIENCE)


def test_one_that_cannot_be_written_does_not_fail_the_others(store: AnswerStore) -> None:
    futures = [store.put(entry(number, prompt="\ud800" if number == 2 else "fine")) for number in range(5)]
    results = [future.exception(PATIENCE) for future in futures]
    assert [type(result) for result in results] == [*[type(None)] * 2, StoreError, *[type(None)] * 2]
    assert set(numbers(store.list())) == {0, 1, 3, 4}
    assert (store.stats().entries, store.failure) == (4, "")


def test_many_threads(store: AnswerStore) -> None:
    def work(part: int) -> None:
        for number in range(part, 200, 4):
            kept = store.put(entry(number)).result(PATIENCE)
            assert store.get(kept.key) == kept
            store.touch(P, kept.id)
            if number % 3 == 0:
                assert store.delete(kept.key).result(PATIENCE)

    threads = [threading.Thread(target=work, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.flush().result(PATIENCE)
    assert set(numbers(store.list(limit=999))) == {n for n in range(200) if n % 3}
    assert {one.hits for one in store.list(limit=999)} == {1}
    assert store.stats().entries == 133


def test_a_closed_store_says_so(store: AnswerStore) -> None:
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.put(entry(1)).result(PATIENCE)
    with pytest.raises(StoreError, match="closed"):
        store.get(entry(1).key)
    store.close()


class Told:
    """A follower that keeps what it hears, be it twice."""

    def __init__(self) -> None:
        self.gone = set[int]()
        self.pairs = set[bytes]()

    def forget(self, entries: Iterable[int], /) -> None:
        self.gone.update(entries)

    def refuse(self, pair: bytes, /) -> None:
        self.pairs.add(pair)


def test_followers_hear_of_it_before_the_acknowledgement(store: AnswerStore) -> None:
    told = Told()
    store.follow(told)
    kept = [store.put(entry(number)).result(PATIENCE) for number in range(3)]
    assert store.delete(kept[1].key).result(PATIENCE)
    assert told.gone == {kept[1].id}
    again = store.put(entry(0)).result(PATIENCE)
    assert told.gone == {kept[0].id, kept[1].id}
    store.clear().result(PATIENCE)
    assert told.gone == {again.id, *(one.id for one in kept)}


def observed(right: bool, tenant: str = "t", entry: int = 0, source: Any = "miss") -> Observation:
    return Observation(P, tenant, entry, 0.5, 0.25, right, source, NOW)


def test_what_was_learned_is_kept_in_its_order(store: AnswerStore, open_store: Open) -> None:
    kept = store.put(entry(1)).result(PATIENCE)
    store.observe_answer(observed(True, entry=kept.id)).result(PATIENCE)
    store.observe_answer(observed(False), b"wrong").result(PATIENCE)
    store.refuse(b"worse", NOW).result(PATIENCE)
    store.refuse(b"worse", NOW).result(PATIENCE)
    assert store.observations() == [observed(True, entry=kept.id), observed(False)]
    assert sorted(store.refused()) == [b"worse", b"wrong"]
    store.delete(kept.key).result(PATIENCE)
    store.close()
    assert open_store().observations() == [observed(True), observed(False)]


def test_a_wording_stands_for_an_entry_until_something_speaks_against_it(store: AnswerStore) -> None:
    verdict = observed(True, source="verdict")

    def keep(number: int, target: Entry, right: bool = True) -> bytes:
        key = bytes([number]) * 16
        told = verdict if right else replace(verdict, right=False)
        store.keep_verdict(told, key, target.key, b"pair %d" % number).result(PATIENCE)
        return key

    one, two = (store.put(entry(number)).result(PATIENCE) for number in (1, 2))
    first, second, third = keep(1, one), keep(2, one), keep(3, two)
    assert store.alias_of(P, first) == bytes.fromhex(one.key)
    assert store.alias_of(P, keep(4, entry(9))) is None  # which is not there
    store.refuse(b"pair 2", NOW).result(PATIENCE)
    assert store.alias_of(P, second) is None
    assert store.alias_of(P, keep(5, two, right=False)) is None and b"pair 5" in store.refused()
    assert store.delete(one.key).result(PATIENCE)
    assert store.alias_of(P, first) is None
    store.clear(Filter(prompt="question 2")).result(PATIENCE)
    assert store.alias_of(P, third) is None


def test_a_day_has_so_many_of_something(store: AnswerStore, open_store: Open) -> None:
    assert [store.spend("a", 1, 2).result(PATIENCE) for _ in range(3)] == [True, True, False]
    assert store.spend("b", 1, 1).result(PATIENCE) and not store.spend("c", 1, 0).result(PATIENCE)
    store.close()
    again = open_store()
    assert not again.spend("a", 1, 2).result(PATIENCE)
    assert again.spend("a", 2, 2).result(PATIENCE)
