"""A stream of questions through a cache that starts empty and learns, as a proxy's would.

One rule: questions come one after the other, and the cache knows only what was asked before.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from askonce.cache import Judge, Policy
from askonce.quality.labelled import Query
from askonce.quality.trial import Known, OnProgress, TrialCall, keep, opened, unwatched

__all__ = ["Counts", "Run", "run_stream", "shuffled"]

MISS, EXACT, RIGHT, WRONG = range(4)


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of some questions."""

    queries: int
    exact: int
    """Identical questions; right by definition where one question has one answer, so they count neither way."""
    hits: int
    """Semantic ones."""
    wrong: int

    @property
    def wrong_share(self) -> float:
        """Of the semantic hits; 0 where there are none."""
        return self.wrong / self.hits if self.hits else 0.0

    @property
    def hit_share(self) -> float:
        """Semantic hits among all questions."""
        return self.hits / self.queries if self.queries else 0.0


@dataclass(frozen=True, slots=True)
class Run:
    """What became of a stream."""

    outcomes: NDArray[np.int8]
    """Of each question in turn: MISS, EXACT, RIGHT or WRONG."""
    us_per_decision: float

    def counts(self, which: NDArray[np.bool_] | None = None) -> Counts:
        """Of all questions, or of those in `which`."""
        chosen = self.outcomes if which is None else self.outcomes[which]
        miss, exact, right, wrong = np.bincount(chosen, minlength=4).tolist()
        return Counts(miss + exact + right + wrong, exact, right + wrong, wrong)


def shuffled(queries: Sequence[Query], seed: int) -> list[Query]:
    """The questions in another order, always the same for a seed."""
    return [queries[place] for place in np.random.default_rng(seed).permutation(len(queries))]


async def run_stream(
    queries: Sequence[Query],
    embedder: Known,
    judge: Judge,
    policy: Policy,
    *,
    audit: float = 0.0,
    watch: OnProgress = unwatched,
) -> Run:
    """Ask in order; what is missed is remembered with its right answer.

    So is the share `audit` of the semantic hits: those that a proxy has the provider check.
    """
    step = watch(f"asking, at most {policy.max_error:.1%} wrong", len(queries))
    outcomes, seconds, due = [], 0.0, 0.0
    async with opened(embedder, judge, len(queries)) as cache:
        for query in queries:
            start = time.perf_counter()
            asked = TrialCall.of(cache, query.text)
            found = await cache.look_up(asked.call, asked.identity, policy)
            seconds += time.perf_counter() - start
            if found.entry is None:
                await keep(cache, asked, query.answer, found=found)
                outcomes.append(MISS)
            elif found.outcome == "exact":
                outcomes.append(EXACT)
            else:
                outcomes.append(RIGHT if found.entry.answer.body == query.answer.encode() else WRONG)
                due += audit
                if due >= 1:
                    due -= 1
                    await keep(cache, asked, query.answer, found=found)
            step()
    us = seconds / max(1, len(queries)) * 1e6 + embedder.us_per_text
    return Run(np.array(outcomes, dtype=np.int8), us)
