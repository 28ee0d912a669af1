"""Where the evidence comes from: a near miss that the provider answered, a served answer that was checked, and people.

The one rule here: nothing waits for it. Labels are made after the caller has his answer, and a fault in here is
reported and otherwise changes nothing.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal

from askonce.cache.identity import Identity
from askonce.cache.learning.answer_comparison import LARGEST, compare, kin, text_of
from askonce.cache.learning.pools import Learning, Observation, Source, Weighed, pair
from askonce.cache.lookup import Lookup
from askonce.cache.lru import LRU
from askonce.cache.store import AnswerStore, StoreError
from askonce.call import Answer
from askonce.faults import Faults

__all__ = ["Learner", "Lesson", "load_learning"]

SERVED = 4_096
"""Semantic hits that feedback may still be about."""
CALLERS = 64
"""Who may say of one hit that it was right; of more, nothing is learned."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a fresh answer says of the one that was near."""

    kin: int
    """Of the fresh answer."""
    observation: Observation | None = None
    refused: bytes | None = None
    """The pair, where a wrong answer was served."""


@dataclass(frozen=True, slots=True)
class _Hit:
    identity: Identity
    key: str
    entry: int
    weighed: Weighed
    told: set[str]
    """Who has said already that it was right."""


class Learner:
    """Labels what was decided. Thread-safe."""

    def __init__(self, store: AnswerStore, learning: Learning, *, clock: Callable[[], float], faults: Faults) -> None:
        self._store, self._learning = store, learning
        self._clock, self._faults = clock, faults
        self._served = LRU[bytes, _Hit](SERVED)
        self._lock = threading.Lock()

    # What the provider said

    def compare(self, identity: Identity, prompt: str, answer: Answer, found: Lookup | None) -> Lesson:
        """Compare a fresh answer with that of the nearest entry that its lookup found, served or not."""
        try:
            if len(answer.body) > LARGEST:
                return Lesson(0)
            text = text_of(answer.body)
            own = kin(text)
            nearest = found.nearest if found and "exact" not in (found.outcome, found.watched) else None
            if found is None or nearest is None:
                return Lesson(own)
            if own != nearest.kin and len(nearest.answer.body) > LARGEST:
                return Lesson(own)
            verdict = "same" if own == nearest.kin else compare(text, text_of(nearest.answer.body))
            teaches = own > 0 and nearest.kin > 0
            if verdict == "same" and teaches:
                own = nearest.kin
            if verdict == "unknown" or not teaches or found.weighed is None:
                return Lesson(own)
            right, audited = verdict == "same", "semantic" in (found.outcome, found.watched)
            source: Source = "watch" if found.watched else "audit" if audited else "miss"
            observation = self._observation(identity, nearest.id, found.weighed, right, source)
            wrong = audited and not right
            return Lesson(own, observation, pair(identity.partition, prompt, nearest.key) if wrong else None)
        except Exception as error:
            self._faults.report("comparing answers", error, "nothing is learned from them")
            return Lesson(0)

    def learn(self, lesson: Lesson) -> None:
        """Take a lesson in; it is on disk soon."""
        if lesson.refused:
            self._learning.refuse(lesson.refused)
        if lesson.observation:
            self._learning.learn(lesson.observation)
            self._store.observe_answer(lesson.observation, lesson.refused)

    # What a verifier said

    def keep_verdict(self, identity: Identity, prompt: str, found: Lookup, *, same: bool) -> Future[None]:
        """A near miss was said to ask the same as the nearest entry, or not: then the two are kept apart for good. Done
        once that is kept."""
        near = found.nearest
        assert near and found.weighed
        name = pair(identity.partition, prompt, near.key)
        if not same:
            self._learning.refuse(name)
        observation = self._observation(identity, near.id, found.weighed, same, "verdict")
        return self._store.keep_verdict(observation, identity.exact, near.key, name)

    # What people say

    def record_hit(self, identity: Identity, prompt: str, found: Lookup) -> bytes:
        """Remember a semantic hit; the name by which feedback finds it."""
        assert found.entry
        name = pair(identity.partition, prompt, found.entry.key)
        if found.weighed:
            with self._lock:
                before = self._served.get(name)
                told = before.told if before else set[str]()
                self._served.put(name, _Hit(identity, found.entry.key, found.entry.id, found.weighed, told))
        return name

    def last(self, key: str) -> bytes | None:
        """The latest semantic hit on an entry; None where none is remembered."""
        with self._lock:
            return next((name for name, hit in self._served.newest_first() if hit.key == key), None)

    def feedback(self, name: bytes, *, right: bool, caller: str = "") -> Literal["learned", "noted"]:
        """A served answer was right, or wrong: then that pair is never served again. "noted": the hit is too long ago
        to learn more from it, or this caller has said so before. Raises StoreError where that could not be kept."""
        with self._lock:
            hit = self._served.get(name)
            if not right:
                self._served.remove(name)
            elif hit and (caller in hit.told or len(hit.told) >= CALLERS):
                return "noted"
            elif hit:
                hit.told.add(caller)
        now = self._clock()
        if not right:
            self._learning.refuse(name)
            self._store.refuse(name, now).result()
        if hit is None:
            return "noted"
        observation = self._observation(hit.identity, hit.entry, hit.weighed, right, "feedback")
        self._learning.learn(observation)
        self._store.observe_answer(observation).result()
        return "learned"

    def _observation(
        self, identity: Identity, entry: int, weighed: Weighed, right: bool, source: Source
    ) -> Observation:
        score, agreement, now = weighed.score, weighed.agreement, self._clock()
        return Observation(identity.partition, identity.tenant, entry, score, agreement, right, source, now)


def load_learning(store: AnswerStore, faults: Faults) -> Learning:
    """What was learned before the last stop."""
    try:
        learned = [seen for seen in store.observations() if seen.source != "verdict"]
        return Learning(learned, store.refused())
    except StoreError as error:
        faults.report("evidence", error, "learning starts anew")
        return Learning()
