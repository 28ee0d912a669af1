"""Who holds how much of the store, and who makes room where it is full.

One rule: whoever holds most gives way first, so that nobody's many entries push out another's few. Callers (the first
half of a tenant's name, its credential) share the store, and a caller's namespaces share what is the caller's.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

__all__ = ["ENTRIES", "SIZE", "Measure", "Shares", "caller_of", "level"]

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
        for tenant, entries, size in held:
            self.add(tenant, entries, size)

    def add(self, tenant: str, entries: int, size: int) -> None:
        """Count what came, or, below zero, what went."""
        caller = caller_of(tenant)
        tenants = self._held.setdefault(caller, {})
        held = tenants.setdefault(tenant, [0, 0])
        held[ENTRIES] += entries
        held[SIZE] += size
        if not held[ENTRIES]:
            del tenants[tenant]
            if not tenants:
                del self._held[caller]

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


def _most(held: Mapping[str, int], above: int) -> Sequence[str]:
    return sorted((name for name, amount in held.items() if amount > above), key=lambda name: -held[name])
