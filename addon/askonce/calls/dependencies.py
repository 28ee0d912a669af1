"""Answers and what they depend on: how it is kept with them, and invalidation when the data behind them change.

One rule: once an invalidation is acknowledged, no answer that was asked for before it is served again, nor kept where
it was still on its way.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from weakref import WeakSet

from askonce.cache import Cache, Filter
from askonce.cache.store import EVERYTHING

__all__ = ["Dependencies", "Underway", "declared", "depending_on", "labels"]

_DEPENDS = "depends:"
_OWNER = "depends.owner"


def labels(depends: Mapping[str, str], owner: str = "") -> dict[str, str]:
    """The labels of an entry with these dependencies (tag -> version)."""
    return ({_OWNER: owner} if owner else {}) | {_DEPENDS + tag: version for tag, version in depends.items()}


def declared(entry_labels: Mapping[str, str]) -> dict[str, str]:
    """The dependencies in an entry's labels."""
    return {name.removeprefix(_DEPENDS): version for name, version in entry_labels.items() if name.startswith(_DEPENDS)}


def depending_on(tag: str, version: str | None = None, owner: str | None = None) -> dict[str, str | None]:
    """The labels, for a `Filter`, of what depends on `tag`: on this version or (None) any, of this owner or anybody."""
    wanted: dict[str, str | None] = {_DEPENDS + tag: version}
    return wanted if owner is None else wanted | {_OWNER: owner}


class Underway:
    """A call on its way, and whether something that it depends on was invalidated since it began."""

    __slots__ = ("__weakref__", "depends", "is_overtaken", "owner")

    def __init__(self, depends: Mapping[str, str], owner: str) -> None:
        self.depends, self.owner, self.is_overtaken = depends, owner, False


class Dependencies:
    """Invalidates. Its coroutines belong to the cache's event loop."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._underway = WeakSet[Underway]()

    def begin(self, depends: Mapping[str, str], owner: str = "") -> Underway:
        """Watch a call for as long as the result is held."""
        underway = Underway(depends, owner)
        self._underway.add(underway)
        return underway

    async def invalidate(
        self, tag: str, version: str | None = None, *, owner: str | None = None, which: Filter = EVERYTHING
    ) -> int:
        """Forget the answers that depend on `tag`, on that version or (None) any, of one owner or (None) all, as far as
        `which` names them; how many. Raises StoreError."""
        for one in list(self._underway):
            if tag in one.depends and version in (None, one.depends[tag]) and owner in (None, one.owner):
                one.is_overtaken = True
        wanted = replace(which, labels=depending_on(tag, version, owner))
        # Shielded: half the promise is made above, and a client that hangs up must not break the other half.
        return await asyncio.shield(self._cache.clear(wanted))
