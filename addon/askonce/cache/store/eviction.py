"""Who holds how much of the store, and who makes room where it is full.

One rule: whoever holds most gives way first, so that nobody's many entries push out another's few. Callers (the first
half of a tenant's name, its credential) share the store, and a caller's namespaces share what is the caller's.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

__all__ = ["ENTRIES", "SIZE", "Measure", "Room", "Shares", "Shed", "caller_of", "level"]

Measure = Literal[0, 1]
ENTRIES: Measure = 0
SIZE: Measure = 1


def caller_of(tenant: str) -> str:
    """Whose namespace it is."""
    return tenant[:16]


def level(held: Iterable[int], limit: int) -> int:
    """The most that each may hold so that all together hold no more than `limit`."""
    rest, order = limit, sorted(held)
    for at, amount in enumerate(order):
        if amount * (len(order) - at) > rest:
            return rest // (len(order) - at)
        rest -= amount
    return order[-1] if order else 0


class Shares:
    """Entries and bytes by tenant. Belongs to the writer's thread."""

    def __init__(self, held: Iterable[tuple[str, int, int]]) -> None:
        self._held: dict[str, dict[str, list[int]]] = {}
        """Caller -> tenant -> entries, bytes."""
        self._total = [0, 0]
        for tenant, entries, size in held:
            self.add(tenant, entries, size)

    def add(self, tenant: str, entries: int, size: int) -> None:
        """Count what came, or, below zero, what went."""
        caller = caller_of(tenant)
        tenants = self._held.setdefault(caller, {})
        held = tenants.setdefault(tenant, [0, 0])
        for of in (held, self._total):
            of[ENTRIES] += entries
            of[SIZE] += size
        if not held[ENTRIES]:
            del tenants[tenant]
            if not tenants:
                del self._held[caller]

    def total(self, measure: Measure) -> int:
        """By all."""
        return self._total[measure]

    def held(self, tenant: str, measure: Measure) -> int:
        """By one tenant."""
        return self._held.get(caller_of(tenant), {}).get(tenant, (0, 0))[measure]

    def of_caller(self, caller: str, measure: Measure) -> int:
        """By all namespaces of a caller."""
        return sum(held[measure] for held in self._held.get(caller, {}).values())

    def above(self, measure: Measure, limit: int) -> Iterator[tuple[str, int]]:
        """The tenants that hold more than is fair where all may hold `limit` together, and what is: who holds most
        comes first."""
        callers = {caller: self.of_caller(caller, measure) for caller in self._held}
        fair = level(callers.values(), limit)
        for caller in _most(callers, fair):
            yield from self.above_of(caller, measure, fair)

    def above_of(self, caller: str, measure: Measure, limit: int) -> Iterator[tuple[str, int]]:
        """The same among one caller's namespaces."""
        tenants = {tenant: held[measure] for tenant, held in self._held.get(caller, {}).items()}
        fair = level(tenants.values(), limit)
        for tenant in _most(tenants, fair):
            yield tenant, fair


class Shed(Protocol):
    """Deletes what a tenant used least recently, until `excess` of `measure` is gone; how many entries went. The shares
    know of it when it returns."""

    def __call__(self, tenant: str, measure: Measure, excess: int, /) -> int: ...


@dataclass(frozen=True, slots=True)
class Room:
    """How much there is for all together, and for one caller."""

    max_entries: int
    max_bytes: int
    max_share: float
    """The part of both that one caller may hold."""

    def is_exceeded(self, shares: Shares, grown: Collection[str]) -> bool:
        """Whether anything has to go, where these callers hold more than before."""
        return any(
            shares.total(measure) > limit or any(shares.of_caller(caller, measure) > most for caller in grown)
            for measure, limit, most in self._limits()
        )

    def make(self, shares: Shares, grown: Collection[str], shed: Shed) -> tuple[int, int]:
        """Delete until all limits hold, with a hundredth to spare: not one for every put. How many entries went, and
        how many of these since their caller held more than a share."""
        over = 0
        for measure, _, most in self._limits():
            for caller in grown if self.max_share < 1 else ():
                if shares.of_caller(caller, measure) > most:
                    for tenant, fair in list(shares.above_of(caller, measure, most - most // 100)):
                        over += shed(tenant, measure, shares.held(tenant, measure) - fair)
        evicted = over
        for measure, limit, _ in self._limits():
            if shares.total(measure) > limit:
                enough = limit - limit // 100
                for tenant, fair in list(shares.above(measure, enough)):
                    excess = min(shares.held(tenant, measure) - fair, shares.total(measure) - enough)
                    evicted += shed(tenant, measure, excess)
        return evicted, over

    def _limits(self) -> Iterator[tuple[Measure, int, int]]:
        """Each measure, its limit, and a caller's."""
        yield ENTRIES, self.max_entries, max(1, int(self.max_entries * self.max_share))
        yield SIZE, self.max_bytes, int(self.max_bytes * self.max_share)


def _most(held: Mapping[str, int], above: int) -> Sequence[str]:
    return sorted((name for name, amount in held.items() if amount > above), key=lambda name: -held[name])
