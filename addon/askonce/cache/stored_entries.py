"""The entries of a cache as whoever manages them sees them: read, listed, searched, deleted, written back.

One rule: what the disk does not give is told (StoreError), where a look-up would be a miss.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import batched

from askonce.cache.current_embedder import CurrentEmbedder
from askonce.cache.embed import Embedder
from askonce.cache.finder import Finder
from askonce.cache.identity import Identifier
from askonce.cache.learning.pools import Observation
from askonce.cache.lookup import Nearby
from askonce.cache.restoring import RESTORED_AT_ONCE, check_keys, restore
from askonce.cache.store import EVERYTHING, AnswerStore, Entry, Filter, StoreError
from askonce.cache.store.protocol import Entries
from askonce.cache.threads import CacheThreads
from askonce.cache.transfer import Record
from askonce.cache.why import ComparedCall, Nearest, nearest

__all__ = ["StoredEntries"]

_TOLD = 300
"""Observations that are told one by one, with the entries they are about."""
_LONGEST_KEY = 64
"""Bytes."""
CANDIDATES = 100
"""Entries of each kind that are compared to tell why a call was not answered."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What is known of how right decisions were."""

    observations: Sequence[Observation]
    """The oldest first."""
    entries: Entries
    """Those that the latest of them are about, and one of each partition, as far as they are kept."""
    refused: int
    """Pairs that are never served again."""


class StoredEntries:
    """What a cache holds. Its coroutines raise StoreError."""

    def __init__(
        self,
        store: AnswerStore,
        finder: Finder,
        embedder: CurrentEmbedder,
        identifier: Identifier,
        threads: CacheThreads,
        clock: Callable[[], float],
    ) -> None:
        self._store, self._finder, self._embedder, self._identifier = store, finder, embedder, identifier
        self._threads, self._clock = threads, clock

    async def get(self, key: str) -> Entry | None:
        """The entry of this key, expired or not."""
        return await self._threads.run(self._store.get, key)

    async def keys(self, beginning: str) -> Sequence[str]:
        """Two at most of the keys that begin so, in hex; none for what no key begins with."""
        try:
            half = len(beginning) % 2
            keys = bytes.fromhex(beginning + "0" * half), bytes.fromhex(beginning + "f" * half) + b"\xff" * _LONGEST_KEY
        except ValueError:
            return []
        return [entry.key for entry in await self.list(Filter(keys=keys), limit=2)]

    async def request(self, key: str) -> bytes:
        """What was asked, as `remember` was given it; empty where that was not kept."""
        return await self._threads.run(self._store.request, key)

    async def list(self, filter: Filter = EVERYTHING, *, offset: int = 0, limit: int = 100) -> Entries:
        """A page of the entries that `filter` names, the newest first."""
        return await self._threads.run(lambda: self._store.list(filter, offset=offset, limit=limit))

    async def count(self, filter: Filter = EVERYTHING) -> int:
        """How many entries `filter` names."""
        return await self._threads.run(self._store.count, filter)

    async def search(self, text: str, limit: int = 10) -> Nearby:
        """Entries of all partitions near `text` and their cosine, the nearest first."""
        embedder = await self._embedder.wait()
        if embedder is None:
            raise StoreError("there is no embedder to search with; the log of the start says why")
        return await self._threads.run(self._finder.search, text, limit, embedder)

    async def evidence(self) -> Sequence[tuple[str, Observation]]:
        """What was observed, the oldest first, and the rule by which its partition's entries came; empty where none of
        them is left."""
        return await self._threads.run(self._evidence)

    def _evidence(self) -> Sequence[tuple[str, Observation]]:
        observed = self._store.observations()
        rules = {partition: self._store.upstream_of(partition) for partition in {one.partition for one in observed}}
        return [(rules[one.partition], one) for one in observed]

    async def delete(self, key: str) -> bool:
        """Whether there was one to delete. Once this returns, it is never served again."""
        return await asyncio.wrap_future(self._store.delete(key))

    async def clear(self, filter: Filter = EVERYTHING) -> int:
        """Delete what `filter` names; how many. Once this returns, none of them is served again."""
        return await asyncio.wrap_future(self._store.clear(filter))

    async def after(self, id: int, limit: int) -> Entries:
        """The `limit` entries that were stored after that of `id`, the oldest first: to walk through all of them."""
        return await self._threads.run(self._store.after, id, limit)

    async def restore(self, records: Iterable[Record]) -> int:
        """Keep entries that were written down elsewhere; how many.

        Those that are over are left out, and those that this cache has a newer answer for. Raises ValueError, having
        kept none, where an entry's key is not that of its prompt under this cache's secret.
        """
        batches = list(batched(records, RESTORED_AT_ONCE))
        for number, batch in enumerate(batches):
            await self.check(batch, number * RESTORED_AT_ONCE + 1)
        embedder = await self._embedder.wait()
        return sum(
            [
                await self._threads.run(restore, batch, self._store, self._finder, embedder, self._clock())
                for batch in batches
            ]
        )

    async def check(self, records: Sequence[Record], first: int = 1) -> int:
        """How many there are. Raises ValueError where `restore` would; `first` is the number of the first one."""
        await self._threads.run(check_keys, records, first, self.key)
        return len(records)

    def key(self, partition: bytes, prompt: str) -> str:
        """The key of an entry: that of the call with this prompt, of those that make up the partition."""
        return self._identifier.exact(partition, prompt).hex()

    @property
    def fingerprint(self) -> str:
        """Tells whether entries written down elsewhere can serve here: they need the same."""
        return self._identifier.fingerprint

    async def nearest(self, asked: ComparedCall) -> Nearest | None:
        """The entry that came closest to answering a call, in whatever partition; see `why`."""
        embedder = self._embedder.now
        return await self._threads.run(lambda: nearest(asked, self._candidates(asked, embedder)))

    def _candidates(self, asked: ComparedCall, embedder: Embedder | None) -> Entries:
        found = self._store.list(limit=CANDIDATES)
        if asked.upstream:
            found += self._store.list(Filter(upstream=asked.upstream), limit=CANDIDATES)
        if asked.prompt is not None:
            found += self._store.alike(asked.prompt, CANDIDATES)
            if embedder:
                found += [entry for entry, _ in self._finder.search(asked.prompt, CANDIDATES, embedder)]
        return found

    async def observed(self) -> Observed:
        """What was learned, and the entries that most of it can be shown with."""
        return await self._threads.run(self._observed)

    def _observed(self) -> Observed:
        known = self._store.observations()
        told = [(one.partition, one.entry) for one in known if one.source in ("audit", "feedback")][-_TOLD:]
        latest = {one.partition: one.entry for one in known if one.entry}
        taken = dict[bytes, set[int]]()
        for partition, entry in [*told, *list(latest.items())[-_TOLD:]]:
            taken.setdefault(partition, set()).add(entry)
        entries = [entry for one, ids in taken.items() for entry in self._store.take(one, sorted(ids)).values()]
        return Observed(known, entries, len(self._store.refused()))

    async def flush(self) -> None:
        """Returns once everything asked before, hits included, is on disk."""
        await asyncio.wrap_future(self._store.flush())
