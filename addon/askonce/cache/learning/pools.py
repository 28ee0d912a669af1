"""What a cache has learned of its own decisions: by partition, by entry, and pair by pair.

The one rule here: only a partition's own observations make it bolder. Those of the others can make it more careful,
never less, so that no caller loosens what another is served.
"""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

from askonce.cache.learning.recalibration import Account, Posterior, consensus, logit, offset, probability

__all__ = ["Learning", "Observation", "Pool", "Source", "Weighed", "pair"]

OWN = 50
"""Observations from which on a partition's own evidence decides."""
PARTITIONS = 4096
"""Partitions whose evidence is held."""

Source = Literal["miss", "audit", "watch", "feedback", "verdict"]
"""How it came out: the provider's answer to a near miss, to a check of a served answer, or to a call of which it was
only watched what would have been served; or a person said so, or a verifier, from whom the pools do not learn."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """A candidate as evidence sees it."""

    score: float
    """The judge's probability as a logit."""
    agreement: float
    """See `consensus`."""
    probability: float
    """That its answer is right, as low as it may be."""
    comparable: bool = False
    """Its answer is of the sort that evidence is about."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One candidate whose answer was compared. It holds no text."""

    partition: bytes
    tenant: str
    """Whose partition it is; see `Identity.tenant`."""
    entry: int
    """Id; 0 once the entry is gone."""
    score: float
    agreement: float
    right: bool
    source: Source
    time: float
    """Unix seconds."""


def pair(partition: bytes, prompt: str, key: str) -> bytes:
    """The name of an asked prompt and an entry; tells nothing about either."""
    return blake2b(
        b"%d:%b%b" % (len(prompt), prompt.encode("utf-8", "surrogatepass"), key.encode()),
        digest_size=16,
        key=partition,
    ).digest()


class Pool:
    """What one partition's decisions are made with; see `decide`."""

    def __init__(self, tenant: str, own: Posterior, whole: Posterior, learning: "Learning") -> None:
        """`own` has learned from this partition, `whole` from all of the tenant's."""
        self.tenant, self._own, self._whole, self._learning = tenant, own, whole, learning
        self._accounts: dict[float, Account] = {}

    @property
    def count(self) -> float:
        """Observations."""
        return self._own.count

    def weigh(self, judged: float, entry: int, kin: int, cosine: float, around: Sequence[tuple[int, float]]) -> Weighed:
        """What is left of a judge's probability in view of the evidence. Without any: the probability.

        `kin` is the entry's; where it says that the answer is of a sort that is not compared, evidence makes it less
        probable or nothing.
        """
        if not (self._own.count or self._whole.count) or not judged:
            return Weighed(logit(judged), consensus(kin, cosine, around), judged, kin > 0)
        score, agreement = logit(judged), consensus(kin, cosine, around)
        if self._own.count >= OWN and kin > 0:
            bound = self._own.bound(score, agreement)
        else:
            bound = min(self._own.bound(score, agreement), self._whole.bound(score, agreement), score)
        own = self._learning.offset(entry)
        bound += own if kin > 0 else min(own, 0.0)
        # Cutting a score to what a judge can mean must not make it less without a reason.
        return Weighed(score, agreement, judged if bound == score else probability(bound), kin > 0)

    def serves(self, weighed: Weighed, max_error: float) -> bool:
        """Whether it may be served: on its own, or because others that were served make room for it."""
        if weighed.probability >= 1 - max_error:
            return True
        account = self._accounts.get(max_error)
        if account is None or self._own.count < OWN or not weighed.comparable:
            return False
        return account.allows(1 - weighed.probability, max_error, self._own.limit(max_error))

    def decided(self, weighed: Weighed, max_error: float, *, served: bool) -> None:
        """Count a decision."""
        with self._learning.lock:
            self._own.seen(weighed.score, weighed.agreement)
            account = self._accounts.setdefault(max_error, Account())
            if served:
                account.add(1 - weighed.probability)

    def observe(self, observation: Observation) -> None:
        """Learn; the caller holds the lock, as for the two that follow."""
        for posterior in (self._own, self._whole):
            posterior.observe(observation.score, observation.agreement, observation.right)

    def take(self, observation: Observation) -> None:
        """Count; `fit` once all are counted."""
        for posterior in (self._own, self._whole):
            posterior.take(observation.score, observation.agreement, observation.right)

    def fit(self) -> None:
        """Learn from what was counted for this partition; `Learning` has the tenant's learn."""
        self._own.fit()

    def expected(self, observation: Observation) -> float:
        """The probability that it comes out right, without pessimism."""
        return probability(self._own.expected(observation.score, observation.agreement))


class Learning:
    """All pools, the entries' own records, and the pairs that are never served again. Thread-safe."""

    def __init__(self, observations: Iterable[Observation] = (), refused: Iterable[bytes] = ()) -> None:
        self.lock = threading.RLock()
        self._tenants: dict[str, Posterior] = {}
        self._pools: dict[bytes, Pool] = {}
        self._entries: dict[int, list[float]] = {}
        self._refused = set(refused)
        known = list(observations)
        for observation in known:
            self.pool(observation.partition, observation.tenant).take(observation)
        for whole in self._tenants.values():
            whole.fit()
        for pool in self._pools.values():
            pool.fit()
        for observation in known:
            self._record(observation)

    def pool(self, partition: bytes, tenant: str) -> Pool:
        """The pool of a partition of this tenant's."""
        found = self._pools.get(partition)  # without the lock: every hit comes by here
        if found is None:
            with self.lock:
                whole = self._tenants.setdefault(tenant, Posterior())
                found = self._pools.setdefault(partition, Pool(tenant, Posterior(), whole, self))
                if len(self._pools) > PARTITIONS:
                    self._forget_pools()
        return found

    def _forget_pools(self) -> None:
        """Make room: first goes what was learned least from, the older before the newer."""
        order = sorted(self._pools.items(), key=lambda item: item[1].count)
        for partition, _ in order[: PARTITIONS // 4]:
            del self._pools[partition]
        known = {pool.tenant for pool in self._pools.values()}
        self._tenants = {tenant: whole for tenant, whole in self._tenants.items() if tenant in known}

    def learn(self, observation: Observation) -> None:
        """Take one observation in."""
        with self.lock:
            self._record(observation)
            self.pool(observation.partition, observation.tenant).observe(observation)

    def _record(self, observation: Observation) -> None:
        if observation.entry:
            expected = self.pool(observation.partition, observation.tenant).expected(observation)
            record = self._entries.setdefault(observation.entry, [0.0, 0.0])
            record[0] += observation.right - expected
            record[1] += expected * (1 - expected)

    def offset(self, entry: int) -> float:
        """An entry's own logit: what its record adds to what is expected of it."""
        record = self._entries.get(entry)
        return offset(*record) if record else 0.0

    def forget(self, entries: Iterable[int]) -> None:
        """Drop the records of entries that are gone; what they taught stays."""
        with self.lock:
            for entry in entries:
                self._entries.pop(entry, None)

    def refuse(self, pair: bytes) -> None:
        """Never serve this pair again."""
        with self.lock:
            self._refused.add(pair)

    def refuses(self, partition: bytes, prompt: str, key: str) -> bool:
        """Whether the pair was said to be wrong."""
        return bool(self._refused) and pair(partition, prompt, key) in self._refused
