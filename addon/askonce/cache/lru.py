"""A dict that holds at most so many items. The one rule: who was used least recently goes first."""

from collections import OrderedDict
from collections.abc import Iterator

__all__ = ["LRU"]


class LRU[Key, Value]:
    """At most `most` items. Not thread-safe: who shares one brings a lock."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._items = OrderedDict[Key, Value]()

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, key: Key) -> bool:
        return key in self._items

    def get(self, key: Key) -> Value | None:
        """The item, which is now the last to go."""
        found = self._items.get(key)
        if found is not None:
            self._items.move_to_end(key)
        return found

    def put(self, key: Key, value: Value) -> None:
        """Hold an item; it is the last to go."""
        self._items[key] = value
        self._items.move_to_end(key)
        if len(self._items) > self.most:
            self._items.popitem(last=False)

    def remove(self, key: Key) -> None:
        """Hold it no more, if it was held."""
        self._items.pop(key, None)

    def newest_first(self) -> Iterator[tuple[Key, Value]]:
        """All items, those used last first; none of them counts as used by it."""
        return reversed(self._items.items())
