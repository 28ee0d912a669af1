"""Answers copied from a folder into a database or back, with what was learned and said of them.

One rule: what is there already stays as it is, so that a copy which was broken off is begun again and goes on.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from askonce.cache.identity import replace_secret
from askonce.cache.learning.pools import Observation
from askonce.cache.store.entry import Entry, StoreError
from askonce.cache.store.opening import open_answers, upkeep
from askonce.cache.store.place import SharedPlace
from askonce.cache.store.protocol import AnswerStore, CacheLimits
from askonce.faults import Faults

__all__ = ["Copied", "Passed", "copy_answers", "copy_between"]

type Passed = Callable[[int, int], object]
"""Is told how many entries there are, and how many more of them were looked at."""

_AT_ONCE = 200


@dataclass(slots=True)
class Copied:
    """How many of each."""

    answers: int = 0
    there: int = 0
    """Answers that were in the target already, as new or newer."""
    left_out: int = 0
    """Those that the target refused, as too large."""
    observations: int = 0
    pairs: int = 0
    """That are never served again."""


def copy_between(
    folder: Path, place: SharedPlace, limits: CacheLimits, *, into_database: bool, passed: Passed
) -> Copied:
    """Copy all answers of `folder` to `place`, or back; no proxy may use the folder, and none a database that is empty.

    Where the target is empty it takes the source's secret, under which the answers' keys are made. Raises StoreError,
    also where the target has answers of another secret, which no call would find beside these.
    """
    with tempfile.TemporaryDirectory() as own:

        def opened(shared: bool) -> AnswerStore:
            directory = Path(own) if shared else folder
            return open_answers(directory, limits, time.time, Faults(), place if shared else None)

        source = opened(not into_database)
        try:
            _agree(source.secret(), folder, place, limits, into_database=into_database)
            target = opened(into_database)
            try:
                return copy_answers(source, target, time.time(), passed)
            finally:
                target.close()
        finally:
            source.close()


def _agree(secret: bytes, folder: Path, place: SharedPlace, limits: CacheLimits, *, into_database: bool) -> None:
    if into_database:
        upkeep().migrate(place)
        upkeep().adopt_secret(place, secret)
        return
    target = open_answers(folder, limits, time.time, Faults())
    try:
        differs, count = target.secret() != secret, target.count()
    finally:
        target.close()
    if differs and count:
        raise StoreError(
            f"{folder} has {count} answers whose keys were made under another secret; name an empty folder"
        )
    if differs:
        replace_secret(folder / "secret", secret)


def copy_answers(source: AnswerStore, target: AnswerStore, now: float, passed: Passed) -> Copied:
    """Copy what there is, into a store of the same secret. What verifiers said that wordings
    ask for (aliases) is not copied: it comes again. Raises StoreError."""
    done, ids, last, count = Copied(), dict[int, int](), 0, source.count()
    for pair in set(source.refused()) - set(target.refused()):  # first: nothing that is wrong is served meanwhile
        target.refuse(pair, now).result()
        done.pairs += 1
    while page := source.after(last, _AT_ONCE):
        last = page[-1].id
        _copy_page(source, target, page, ids, done)
        passed(count, len(page))
    known = {_told(one) for one in target.observations()}
    for one in source.observations():
        if _told(one) not in known:
            target.observe_answer(replace(one, entry=ids.get(one.entry, 0))).result()
            done.observations += 1
    target.flush().result()
    return done


def _copy_page(source: AnswerStore, target: AnswerStore, page: list[Entry], ids: dict[int, int], done: Copied) -> None:
    writing = []
    for entry in page:
        found = target.get(entry.key)
        if found and found.created >= entry.created:
            ids[entry.id] = found.id
            done.there += 1
        else:
            writing.append((entry.id, target.put(replace(entry, request=source.request(entry.key)))))
    for id, future in writing:
        try:
            ids[id] = future.result().id
            done.answers += 1
        except StoreError:
            if target.failure:
                raise
            done.left_out += 1


def _told(one: Observation) -> tuple[object, ...]:
    """What two stores have in common of one observation."""
    return one.partition, one.tenant, one.score, one.agreement, one.right, one.source, one.time
