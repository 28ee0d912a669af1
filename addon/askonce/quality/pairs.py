"""Labelled pairs, decided by the cache and by plain cosine thresholds.

One rule: each pair has a partition of its own, so that the only answer that can be served to `b` is that of `a`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import numpy as np
from numpy.typing import NDArray

from askonce.cache import Cache, Embedder, Judge, Policy
from askonce.quality.labelled import LabelledPair
from askonce.quality.metrics import PairDecisions
from askonce.quality.trial import BLANK, Known, OnProgress, TrialCall, keep, opened, unwatched

__all__ = ["THRESHOLDS", "PairTrial", "asking", "cosines", "decide_pairs", "known", "plain"]

THRESHOLDS = (0.7, 0.8, 0.92)
"""Cosines that other caches serve from."""
AT_ONCE = 256
EXACT = 2.0
"""The score of an identical question: before all that is judged."""


class PairTrial:
    """A cache that knows the answer to `a` of every pair, and is asked `b`."""

    def __init__(self, cache: Cache, pairs: Sequence[LabelledPair], us_per_text: float) -> None:
        self._cache, self._pairs, self._us_per_text = cache, pairs, us_per_text

    async def decide(
        self, policy: Policy, which: Sequence[int] | None = None, watch: OnProgress = unwatched, phase: str = "deciding"
    ) -> PairDecisions:
        """What the cache decides under `policy`, of all pairs or of those of the indexes in `which`, in that order."""
        chosen = range(len(self._pairs)) if which is None else which
        step, seconds = watch(phase, len(chosen)), 0.0
        served, scores, reasons = [], [], []
        for number in chosen:
            # A partition in use has its index in memory; to ask nothing has it read before the clock starts.
            nothing = TrialCall.of(self._cache, BLANK, str(number))
            await self._cache.look_up(nothing.call, nothing.identity, policy)
            start = time.perf_counter()
            asked = TrialCall.of(self._cache, self._pairs[number].b, str(number))
            found = await self._cache.look_up(asked.call, asked.identity, policy)
            seconds += time.perf_counter() - start
            served.append(found.entry is not None)
            scores.append(EXACT if found.outcome == "exact" else found.probability or 0.0)
            reasons.append(found.reason)
            step()
        us = seconds / max(1, len(chosen)) * 1e6 + self._us_per_text
        return PairDecisions(np.array(served, dtype=np.bool_), np.array(scores), us, tuple(reasons))


@asynccontextmanager
async def asking(
    pairs: Sequence[LabelledPair], embedder: Known, judge: Judge, watch: OnProgress = unwatched
) -> AsyncIterator[PairTrial]:
    """A cache that knows the pairs."""
    async with opened(embedder, judge, len(pairs)) as cache:
        step = watch("remembering", len(pairs))

        async def remember(number: int) -> None:
            space = str(number)
            await keep(cache, TrialCall.of(cache, pairs[number].a, space), "the answer to a", space)
            step()

        for first in range(0, len(pairs), AT_ONCE):
            await asyncio.gather(*(remember(n) for n in range(first, min(first + AT_ONCE, len(pairs)))))
        yield PairTrial(cache, pairs, embedder.us_per_text)


async def decide_pairs(
    pairs: Sequence[LabelledPair], embedder: Known, judge: Judge, policy: Policy, watch: OnProgress = unwatched
) -> PairDecisions:
    """What a fresh cache decides about each pair."""
    async with asking(pairs, embedder, judge, watch) as asked:
        return await asked.decide(policy, watch=watch)


def known(embedder: Embedder, pairs: Sequence[LabelledPair], watch: OnProgress = unwatched) -> Known:
    """The embedder, with the vectors of all questions of the pairs."""
    return Known(embedder, (text for pair in pairs for text in (pair.a, pair.b)), watch)


def cosines(pairs: Sequence[LabelledPair], embedder: Known) -> NDArray[np.float64]:
    """The cosine of each pair."""
    found = np.zeros(len(pairs))
    for first in range(0, len(pairs), AT_ONCE):
        some = pairs[first : first + AT_ONCE]
        left, right = embedder.embed([pair.a for pair in some]), embedder.embed([pair.b for pair in some])
        found[first : first + len(some)] = np.einsum("ij,ij->i", left, right)
    return found


def plain(scores: NDArray[np.float64], threshold: float, us_per_text: float) -> PairDecisions:
    """What a cache that serves from a cosine of `threshold` on decides; the time is the embedding's."""
    return PairDecisions(scores >= threshold, scores, us_per_text)
