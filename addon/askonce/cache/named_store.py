"""Explicit stores: what a program puts under a text, and gets back by that text, or by one near it.

The one rule here: a store is the caller's own. It is reached only under its name, it knows nothing of calls to
providers, and nothing that clears the cache of those touches it. What stands around a question must be equal, and only
the question may be near (see `wrapped.py`).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import orjson

from askonce.cache.embed import Embedder
from askonce.cache.judge import Vector
from askonce.cache.judge.guards import Pair, objection
from askonce.cache.judge.reading import read
from askonce.cache.store import AnswerStore, CacheLimits, Entry, Filter, SharedPlace, StoreError, open_answers
from askonce.cache.store.protocol import Near
from askonce.cache.transfer import FOREVER
from askonce.cache.wrapped import Unwrapped, unwrap
from askonce.call import Answer
from askonce.faults import Faults
from askonce.workers import Workers

__all__ = ["Embed", "Item", "Match", "NamedStores", "Strategy", "TextError"]

Strategy = Literal["exact", "semantic"]
Embed = Callable[[str], Awaitable[tuple[Embedder, Vector] | None]]
"""A text's vector and whose it is; None where another wording of the text cannot be recognised. `Cache.embed`."""

_TEXT = ""
"""The label that tells equal texts, the question in any case; no attribute has an empty name."""
_FIRST = 32
"""Nearest entries that are looked at before all that have the attributes are."""
_ROUNDING = 1e-6
"""A cosine of equal vectors comes out up to this much below one."""


class TextError(ValueError):
    """A text or a name that cannot be kept; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Item:
    """What lies in a named store."""

    id: str
    """32 hex digits, the same for the same text and attributes in the same store."""
    text: str
    value: bytes
    attributes: Mapping[str, str]
    created: float
    """Unix seconds."""
    expires: float | None
    """Unix seconds; None without an end."""


@dataclass(frozen=True, slots=True)
class Match:
    """An item that was found, and how."""

    item: Item
    similarity: float
    """Raw cosine; 1.0 for the same text."""
    strategy: Strategy
    entry: int = field(default=0, repr=False, compare=False)
    """The id of what holds it in the store of answers."""


class NamedStores:
    """Items by the name of their store, in a folder of their own. Its coroutines belong to one event loop.

    `close` it at the end.

    They raise StoreError where the disk fails, and TextError for a text that is no Unicode (a lone surrogate).
    """

    def __init__(
        self,
        directory: Path,
        embed: Embed,
        *,
        max_entries: int = 100_000,
        max_bytes: int = 2 << 30,
        index_bytes: int = 256 << 20,
        clock: Callable[[], float] = time.time,
        faults: Faults | None = None,
        shared: SharedPlace | None = None,
    ) -> None:
        """In `directory`, or at `shared`. The limits hold for all stores together; what was used least recently goes
        first. Raises StoreError."""
        self._embed, self._clock, faults = embed, clock, faults or Faults()
        limits = CacheLimits(max_entries, max_bytes, memory_bytes=0, index_bytes=index_bytes)
        self._store: AnswerStore = open_answers(directory, limits, clock, faults, shared)
        self._workers = Workers(2, "askonce-named-store")
        self._closed = False

    async def put(
        self,
        name: str,
        text: str,
        value: bytes,
        *,
        attributes: Mapping[str, str] | None = None,
        ttl: float | None = None,
        replaces: float | None = None,
    ) -> Item:
        """Keep `value` under `text` for `ttl` seconds, in place of what has the same text and attributes.

        `replaces` is a raw cosine: the nearest text of at least that, of the same attributes and asking the same as
        far as the guards see, is replaced as well. Returns once it is committed.
        """
        attributes, asked = dict(attributes or {}), unwrap(text)
        if "" in attributes:
            raise TextError("an attribute has an empty name")
        embedded = await self._embedded(asked)
        old: list[Match] = []
        if replaces is not None:
            found = await self._run(self._near, name, text, asked, attributes, replaces, 8, True, embedded)
            old = [match for match in found if match.item.attributes == attributes][:1]
        now = self._clock()
        expires = FOREVER if ttl is None else now + ttl
        embedder, vector = embedded or (None, None)
        entry = Entry(
            key=_digest([name, sorted(attributes.items()), text]),
            partition=_partition(name),
            parts={},
            upstream="",
            host="",
            wire="",
            model="",
            namespace=name,
            prompt=text,
            turns=(),
            answer=Answer(value, "application/octet-stream"),
            created=now,
            expires=expires,
            stale_until=expires,
            upstream_seconds=0.0,
            embedder=embedder.name if embedder else "",
            labels=attributes | _same_text(name, asked),
            vector=vector,
        )
        kept = self._store.put(entry)
        gone = [self._store.delete(match.item.id) for match in old if match.item.id != entry.key]
        await asyncio.wrap_future(kept)
        for deleted in gone:
            await asyncio.wrap_future(deleted)
        return _item(entry)

    async def search(
        self,
        name: str,
        text: str,
        *,
        attributes: Mapping[str, str] | None = None,
        strategies: Sequence[Strategy] = ("semantic",),
        min_cosine: float = 0.0,
        limit: int = 1,
        guarded: bool = False,
    ) -> list[Match]:
        """Up to `limit` items that have all of `attributes`, the best first.

        The first of `strategies` that finds anything answers: "exact" is the same question in any case, "semantic" the
        questions of at least `min_cosine` (raw) and, where `guarded`, to which no guard objects (a number, a negation,
        a name that differs).
        """
        asked, wanted = unwrap(text), attributes or {}
        for strategy in strategies:
            if strategy == "exact":
                found = await self._run(self._same, name, text, asked, wanted, limit)
            else:
                embedded = await self._embedded(asked)
                found = await self._run(self._near, name, text, asked, wanted, min_cosine, limit, guarded, embedded)
            if found:
                for match in found:
                    self._store.touch(_partition(name), match.entry)
                return found
        return []

    async def get(self, name: str, id: str) -> Item | None:
        """The item, unless it expired or lies in another store."""
        entry = await self._run(self._store.get, id)
        if entry is None or entry.partition != _partition(name) or self._clock() >= entry.expires:
            return None
        return _item(entry)

    async def delete(self, name: str, id: str) -> bool:
        """Whether there was one to delete. Once this returns, it is never found again."""
        if await self.get(name, id) is None:
            return False
        return await asyncio.wrap_future(self._store.delete(id))

    async def clear(self, name: str, attributes: Mapping[str, str] | None = None) -> int:
        """Delete what has all of `attributes`, everything where there are none; how many."""
        return await asyncio.wrap_future(self._store.clear(self._wanted(name, attributes or {})))

    async def count(self, name: str, attributes: Mapping[str, str] | None = None) -> int:
        """How many items have all of `attributes`."""
        return await self._run(self._store.count, self._wanted(name, attributes or {}))

    @property
    def size(self) -> int:
        """Bytes of all stores together."""
        return self._store.stats().bytes

    async def close(self) -> None:
        """Write what waits and let go of the folder. May be called twice."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._workers.close()
        self._store.close()

    async def _embedded(self, asked: Unwrapped) -> tuple[Embedder, Vector] | None:
        return await self._embed(asked.question) if asked.is_compared else None

    # In threads

    def _same(self, name: str, text: str, asked: Unwrapped, attributes: Mapping[str, str], limit: int) -> list[Match]:
        found = self._store.list(self._wanted(name, {**attributes, **_same_text(name, asked)}), limit=max(limit, 100))
        found.sort(key=lambda entry: entry.prompt != text)  # stable: the very same first, then the newest
        return [Match(_item(entry), 1.0, "exact", entry.id) for entry in found[:limit]]

    def _near(
        self,
        name: str,
        text: str,
        asked: Unwrapped,
        attributes: Mapping[str, str],
        min_cosine: float,
        limit: int,
        guarded: bool,
        embedded: tuple[Embedder, Vector] | None,
    ) -> list[Match]:
        equal = [match for match in self._same(name, text, asked, attributes, limit) if match.item.text == text]
        found = [replace(match, strategy="semantic") for match in equal]
        if embedded is None or len(found) >= limit:
            return found[:limit]
        embedder, vector = embedded
        partition = _partition(name)
        now, passed = self._clock(), {match.item.id for match in found}

        def fits(prompt: str) -> bool:
            other = unwrap(prompt)
            if other.around != asked.around:
                return False
            return not guarded or objection(Pair(read(asked.question), read(other.question))) is None

        def take(near: Sequence[Near]) -> None:
            entries = self._store.take(partition, [one.id for one in near])
            for id, cosine, _ in near:
                entry = entries.get(id)
                if entry is None or entry.key in passed or now >= entry.expires or len(found) >= limit:
                    continue
                passed.add(entry.key)
                if attributes.items() <= entry.labels.items() and fits(entry.prompt):
                    found.append(Match(_item(entry), cosine, "semantic", entry.id))

        def near_enough(most: int | None, among: Filter | None = None) -> list[Near]:
            near = self._store.nearest(partition, embedder, vector, most, among=among)
            return [one for one in near if one.cosine >= min_cosine - _ROUNDING]

        first = max(_FIRST, 4 * limit)
        near = near_enough(first)
        take(near)
        if len(found) < limit and len(near) == first:
            near = near_enough(None, self._wanted(name, attributes))
            for start in range(0, len(near), 256):
                if len(found) < limit:
                    take(near[start : start + 256])
        return found

    def _wanted(self, name: str, attributes: Mapping[str, str]) -> Filter:
        return Filter(partition=_partition(name), alive=self._clock(), labels=attributes)

    async def _run[**P, T](self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._closed:
            raise StoreError("the cache is closed")
        return await self._workers.run(lambda: work(*args, **kwargs))


def _item(entry: Entry) -> Item:
    return Item(
        id=entry.key,
        text=entry.prompt,
        value=entry.answer.body,
        attributes={name: value for name, value in entry.labels.items() if name != _TEXT},
        created=entry.created,
        expires=None if entry.expires >= FOREVER else entry.expires,
    )


def _digest(value: Any) -> str:
    try:
        data = orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise TextError("a text is not valid Unicode: it holds half of a surrogate pair") from error
    return blake2b(data, digest_size=16).hexdigest()


def _partition(name: str) -> bytes:
    return bytes.fromhex(_digest(["named store", name]))


def _same_text(name: str, asked: Unwrapped) -> dict[str, str]:
    return {_TEXT: _digest([name, asked.around, asked.question.casefold()])}
