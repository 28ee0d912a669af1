"""How much all proxies hold together, and who makes room. One rule: before anything is evicted it is counted anew, as
others may have made room already; in between, a proxy adds what it wrote itself."""

from math import inf
from time import monotonic

from askonce.cache.store.eviction import ENTRIES, SIZE, Measure, Room, Shares, caller_of
from askonce.cache.store.shared.connections import MANAGE_SECONDS, WRITE_SECONDS
from askonce.cache.store.shared.transaction import SharedTransaction

__all__ = ["Holdings"]

COUNT_SECONDS = 10.0
"""How often it is counted; less often where it takes long."""
_PART = 50
"""Counting takes one part in so many of the time."""
_AT_ONCE = {ENTRIES: 1_000, SIZE: 64}
"""Entries that are evicted by one statement."""


class Holdings:
    """Belongs to the writer's thread; its figures may be read by others."""

    def __init__(self, room: Room) -> None:
        self._room, self._shares = room, Shares(())
        self._counted, self._pause = -inf, COUNT_SECONDS
        self.partitions = 0
        """How many have an entry, as of the last counting."""
        self.evicted = self.evicted_over_share = 0

    @property
    def entries(self) -> int:
        return self._shares.total(ENTRIES)

    @property
    def bytes(self) -> int:
        return self._shares.total(SIZE)

    @property
    def is_old(self) -> bool:
        """It is time to count."""
        return monotonic() - self._counted >= self._pause

    def forget(self) -> None:
        """A transaction failed: what was counted in it is not so."""
        self._counted = -inf

    def keep_to(self, transaction: SharedTransaction) -> tuple[int, int]:
        """Evict in `transaction`, at its end, until the limits hold; how many went, and how many of these since their
        caller held more than a share."""
        counted, moved = self.is_old, 0
        if counted:
            self._count(transaction)
        else:
            self._add(transaction, 0)
        grown = {caller_of(entry.tenant) for entry in transaction.added}
        if not counted and self._room.is_exceeded(self._shares, grown):
            self._count(transaction)
        moved = len(transaction.moves)

        def shed(tenant: str, measure: Measure, excess: int) -> int:
            nonlocal moved
            gone = 0
            while excess > 0:
                before = self._shares.total(measure)
                if not (dropped := transaction.shed(tenant, min(_AT_ONCE[measure], excess))):
                    break
                self._add(transaction, moved)
                moved = len(transaction.moves)
                gone += dropped
                excess -= before - self._shares.total(measure)
            return gone

        return self._room.make(self._shares, grown, shed)

    def _add(self, transaction: SharedTransaction, start: int) -> None:
        for tenant, entries, size in transaction.moves[start:]:
            self._shares.add(tenant, entries, size)

    def _count(self, transaction: SharedTransaction) -> None:
        """What there is, with what this transaction did."""
        start = monotonic()
        transaction.connection.within(MANAGE_SECONDS)
        query = "SELECT tenant, count(*), sum(bytes)::bigint FROM {s}.usage GROUP BY tenant"
        self._shares = Shares(transaction.execute(query).fetchall())
        distinct = "SELECT count(*) FROM (SELECT DISTINCT partition FROM {s}.entry) AS partition"
        self.partitions = int(transaction.execute(distinct).fetchone()[0])
        self._counted = monotonic()
        self._pause = max(COUNT_SECONDS, _PART * (self._counted - start))
        transaction.connection.within(WRITE_SECONDS)
