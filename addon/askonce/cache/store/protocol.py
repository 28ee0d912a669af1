"""What the rest of the cache knows of the store of answers; `opening.py` alone knows which one it is.

One rule: what is acknowledged holds. Once a write's future is done, no look-up that begins afterwards finds what was
deleted, cleared or said to be wrong.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from askonce.cache.embed import Embedder
from askonce.cache.judge import Vector
from askonce.cache.learning.pools import Observation
from askonce.cache.store.entry import Entry, Filter

__all__ = [
    "EVERYTHING",
    "AnswerStore",
    "CacheLimits",
    "Entries",
    "Led",
    "Near",
    "NotAtOnceError",
    "Observer",
    "SharedFlights",
    "StoreStats",
]

EVERYTHING = Filter()
Entries = list[Entry]


class NotAtOnceError(Exception):
    """What is needed is not in memory, or takes long."""


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """How much is kept; of whoever holds most, the least recently used goes first."""

    max_entries: int = 100_000
    max_bytes: int = 2 << 30
    max_share: float = 1.0
    """The part of both that one caller may hold."""
    memory_bytes: int = 64 << 20
    """Entries held in memory for the hot path."""
    index_bytes: int = 256 << 20
    """Vectors held in memory."""


@dataclass(frozen=True, slots=True)
class StoreStats:
    """Sizes now, and counts since the start."""

    entries: int = 0
    bytes: int = 0
    """The entries' payload."""
    partitions: int = 0
    """How many have an entry."""
    memory_entries: int = 0
    memory_bytes: int = 0
    indexes: int = 0
    index_bytes: int = 0
    evicted: int = 0
    """Entries that went for want of room."""
    evicted_over_share: int = 0
    """Those of them that went because their caller held more than `max_share`."""
    failure: str = ""
    """Why nothing could be written when it was last tried; empty where it could."""


class Near(NamedTuple):
    """An entry that is near, by its vector."""

    id: int
    cosine: float
    kin: int
    """See `Entry.kin`."""


SOMEBODY = "somebody"
"""Another proxy, of which more is not known."""


class Led(NamedTuple):
    """Who asks the provider a call, of all proxies."""

    elsewhere: str
    """The proxy that does already, `SOMEBODY` where it began this moment; empty where it is this one from now on."""
    entry: Entry | None
    """The call's, which may have come since it was looked up."""


class SharedFlights(Protocol):
    """The calls for which a provider is being asked by any proxy of a store, by exact key. Thread-safe."""

    def lead(self, partition: bytes, key: bytes) -> Led:
        """Ask, where no other proxy does. May wait for a network. Raises StoreError."""

    def end(self, key: bytes) -> None:
        """It is asked no longer, or was not. At once; a second time does nothing."""


class Observer(Protocol):
    """Who is told what happened to entries, before it is acknowledged."""

    def forget(self, entries: Iterable[int], /) -> None:
        """The entries of these ids are gone."""

    def refuse(self, pair: bytes, /) -> None:
        """A pair must never be served again."""


class AnswerStore(Protocol):
    """Entries by key, and by what is near, kept within limits. Thread-safe.

    What says "at once" takes microseconds and belongs on the event loop; everything else may wait for a disk or a
    network. Reads raise StoreError, writes give it to their future.
    """

    @property
    def flights(self) -> SharedFlights | None:
        """None for a store of one proxy."""

    def follow(self, follower: Observer) -> None:
        """Tell `follower`, too."""

    def secret(self) -> bytes:
        """What the keys of its entries are made under, 32 bytes. Raises StoreError."""

    # Looking up

    def held(self, key: bytes) -> Entry | None:
        """The entry of this exact key where memory tells for certain, at once; None says nothing."""

    def lacks(self, key: bytes) -> bool:
        """There is certainly no entry of this key; at once."""

    def has(self, key: bytes) -> bool:
        """There is certainly an entry of this key, fresh or not; at once."""

    def is_there(self, entry: Entry) -> bool:
        """An entry that was found a moment ago was not deleted or replaced since, as far as is known here; at once."""

    def same(self, partition: bytes, key: bytes) -> Entry | None:
        """The entry of this exact key, expired or not."""

    def alias_of(self, partition: bytes, key: bytes, *, at_once: bool = False) -> bytes | None:
        """The key of the entry that a wording, by its own exact key, was said to ask for: see `keep_verdict`.

        `at_once`, it raises NotAtOnceError where memory does not tell.
        """

    def is_empty(self, partition: bytes) -> bool:
        """There is certainly no entry in the partition."""

    def may_have_near(self, partition: bytes, embedder: Embedder, *, at_once: bool = False) -> bool:
        """False where the partition certainly has no vector by `embedder`. `at_once`, it raises NotAtOnceError where
        memory does not tell."""

    def nearest(
        self,
        partition: bytes,
        embedder: Embedder,
        vector: Vector,
        most: int | None,
        *,
        among: Filter | None = None,
        at_once: bool = False,
    ) -> list[Near]:
        """Up to `most` entries with a vector by `embedder`, the nearest first; `among` narrows them.

        None is all of them. `at_once`, it raises NotAtOnceError where memory does not tell.
        """

    def take(self, partition: bytes, ids: Sequence[int], *, at_once: bool = False) -> dict[int, Entry]:
        """Those of `ids`, all of one partition, that exist. `at_once`, it raises NotAtOnceError where memory lacks one
        of them."""

    def touch(self, partition: bytes, id: int) -> None:
        """An entry was served: it counts, and is the last to be evicted. At once; written down within seconds."""

    # Management

    def get(self, key: str) -> Entry | None:
        """The entry, expired or not; None also for what is no key."""

    def request(self, key: str) -> bytes:
        """What was asked, as it was packed; empty where that was not kept."""

    def list(self, filter: Filter = EVERYTHING, *, offset: int = 0, limit: int = 100) -> Entries:
        """A page of the entries that `filter` names, the newest first."""

    def after(self, id: int, limit: int) -> Entries:
        """The `limit` entries that were stored after that of `id`, the oldest first."""

    def alike(self, prompt: str, limit: int) -> Entries:
        """Entries of this very prompt in whatever partition, the newest first. Reads every prompt."""

    def count(self, filter: Filter = EVERYTHING) -> int:
        """How many entries `filter` names."""

    def search(self, embedder: Embedder, vector: Vector, limit: int) -> Sequence[tuple[Entry, float]]:
        """The `limit` entries of all partitions that are nearest, and their cosine."""

    def observations(self) -> Sequence[Observation]:
        """What was learned, the oldest first."""

    def upstream_of(self, partition: bytes) -> str:
        """The rule by which an entry of the partition came that has a vector; empty where there is none."""

    def refused(self) -> Sequence[bytes]:
        """The pairs that are never served again."""

    @property
    def failure(self) -> str:
        """Why nothing could be written when it was last tried; empty where it could. At once."""

    def stats(self) -> StoreStats:
        """At once."""

    # Writing

    def put(self, entry: Entry) -> Future[Entry]:
        """Keep `entry`, in place of the one with its key. The result carries its id."""

    def put_over(self, entry: Entry) -> Future[Entry | None]:
        """The same, where the one with its key has the id of `entry`, or there is none and that is 0; else None, and
        nothing changes."""

    def delete(self, key: str) -> Future[bool]:
        """Whether there was one to delete."""

    def clear(self, filter: Filter = EVERYTHING) -> Future[int]:
        """Delete what `filter` names; the result is how many."""

    def observe_answer(self, observation: Observation, refused: bytes | None = None) -> Future[None]:
        """Keep an observation and, where it is about a pair that was served wrongly, that pair."""

    def refuse(self, pair: bytes, time: float) -> Future[None]:
        """Keep a pair that is never to be served again."""

    def keep_verdict(self, observation: Observation, key: bytes, entry: str, pair: bytes) -> Future[None]:
        """Keep what a verifier said of a call's exact key and an entry, by its key, that is still there: an alias where
        the observation is right, until one of the two is deleted or the pair refused; else a pair that is never served.
        Of too many aliases go the oldest of whoever has most."""

    def spend(self, name: str, day: int, most: int) -> Future[bool]:
        """Take one of the `most` of something that a day has; whether one was left, which holds over restarts."""

    def flush(self) -> Future[None]:
        """Done when everything asked before it is written, hits included."""

    def close(self) -> None:
        """Write what waits, let go of everything. May be called twice."""
