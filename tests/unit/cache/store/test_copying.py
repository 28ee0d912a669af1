"""Answers copied from a folder into a database and back: all of them, once, also where a copy was broken off."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.entries import NOW, P, entry, with_vector
from tests.support.waiting import PATIENCE

from askonce.cache.learning.pools import Observation
from askonce.cache.store import AnswerStore, CacheLimits, Entry, SharedPlace, StoreError, open_answers
from askonce.cache.store.copying import Copied, copy_answers, copy_between
from askonce.faults import Faults

LIMITS = CacheLimits()


def opened(folder: Path, place: SharedPlace | None = None) -> AnswerStore:
    return open_answers(folder, LIMITS, lambda: NOW, Faults(), place)


def copied(folder: Path, place: SharedPlace, *, into_database: bool = True) -> Copied:
    return copy_between(folder, place, LIMITS, into_database=into_database, passed=lambda count, more: None)


def fill(store: AnswerStore) -> list[Entry]:
    kept = [
        store.put(entry(number, labels={"n": str(number)}, request=b"asked", hits=number)).result(PATIENCE)
        for number in range(3)
    ]
    kept.append(store.put(with_vector(9, P)).result(PATIENCE))
    seen = Observation(P, "tenant", kept[3].id, 1.5, 0.5, True, "audit", NOW)
    store.observe_answer(seen).result(PATIENCE)
    store.observe_answer(replace(seen, entry=0, right=False), b"wrong").result(PATIENCE)
    return kept


def plain(found: Entry) -> Any:
    vector = None if found.vector is None else np.asarray(found.vector, np.float16).tolist()
    return replace(found, id=0, vector=None), vector


def told(store: AnswerStore) -> Any:
    found = {one.key: plain(one) for one in store.list()}
    seen = [(one.partition, one.score, one.right, one.source, bool(one.entry)) for one in store.observations()]
    return found, {key: store.request(key) for key in found}, seen, set(store.refused()), store.secret()


def test_all_is_there_and_found_by_the_same_calls(tmp_path: Path, place: SharedPlace) -> None:
    folder, back = tmp_path / "data", tmp_path / "back"
    store = opened(folder)
    kept = fill(store)
    before = told(store)
    store.close()
    done = copied(folder, place)
    assert done == Copied(answers=4, observations=2, pairs=1)
    assert copied(folder, place) == Copied(there=4)
    shared = opened(tmp_path / "other", place)
    assert told(shared) == before
    vectored = next(one for one in shared.list() if one.key == kept[3].key)
    assert {one.entry for one in shared.observations()} == {vectored.id, 0}
    shared.close()
    assert copied(back, place, into_database=False) == Copied(answers=4, observations=2, pairs=1)
    again = opened(back)
    assert told(again) == before
    again.close()


def test_a_copy_that_was_broken_off_goes_on(
    tmp_path: Path, place: SharedPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    store = opened(folder)
    fill(store)
    store.close()

    def broken(count: int, more: int) -> None:
        assert (count, more) == (4, 2)
        raise KeyboardInterrupt

    monkeypatch.setattr("askonce.cache.store.copying._AT_ONCE", 2)
    with pytest.raises(KeyboardInterrupt):
        copy_between(folder, place, LIMITS, into_database=True, passed=broken)
    assert copied(folder, place) == Copied(answers=2, there=2, observations=2)


def test_what_is_newer_in_the_target_stays(tmp_path: Path, place: SharedPlace) -> None:
    source, target = opened(tmp_path / "one"), opened(tmp_path / "other")
    try:
        source.put(entry(1, created=NOW - 9)).result(PATIENCE)
        source.put(entry(2, created=NOW)).result(PATIENCE)
        target.put(entry(1, created=NOW, prompt="newer")).result(PATIENCE)
        target.put(entry(2, created=NOW - 9)).result(PATIENCE)
        assert copy_answers(source, target, NOW, lambda count, more: None) == Copied(answers=1, there=1)
        assert sorted(one.created for one in target.list()) == [NOW, NOW]
        assert target.list()[-1].prompt == "newer"
    finally:
        source.close()
        target.close()


@pytest.mark.parametrize("into_database", [True, False])
def test_answers_of_another_secret_are_left_alone(tmp_path: Path, place: SharedPlace, into_database: bool) -> None:
    for store in (opened(tmp_path / "data"), opened(tmp_path / "other", place)):
        store.put(entry(1)).result(PATIENCE)
        store.close()
    with pytest.raises(StoreError, match="another secret"):
        copied(tmp_path / "data", place, into_database=into_database)


def test_a_proxy_that_makes_keys_is_not_given_another_secret(tmp_path: Path, place: SharedPlace) -> None:
    opened(tmp_path / "data").close()
    running = opened(tmp_path / "other", place)
    try:
        with pytest.raises(StoreError, match="a proxy that makes keys under another secret"):
            copied(tmp_path / "data", place)
    finally:
        running.close()


async def test_the_same_calls_and_other_wordings_are_answered(bench: Any, place: SharedPlace) -> None:
    entry = await bench.remember("How do I sort a list in Python?")
    await bench.cache.close()
    await asyncio.to_thread(copied, bench.directory, place)
    bench.shared = place
    await asyncio.to_thread(bench.open)
    for wording, outcome in (
        ("How do I sort a list in Python?", "exact"),
        ("How do I sort a Python list?", "semantic"),
    ):
        found = await bench.ask(wording)
        assert (found.outcome, found.entry.key) == (outcome, entry.key)
