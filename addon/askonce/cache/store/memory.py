"""The entries that were used last, held in memory. The one rule: what leaves the store leaves here first."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable

from askonce.cache.store.entry import Entry, payload

__all__ = ["Memory"]


class Memory:
    """Entries by id, at most `max_bytes` of them; the least recently used goes first. Thread-safe."""

    def __init__(self, max_bytes: int, left: Callable[[Entry], object] = lambda entry: None) -> None:
        """`left` is told of each entry that is held no more."""
        self.max_bytes = max_bytes
        self._left = left
        self.size = 0
        """Bytes of payload."""
        self._entries: OrderedDict[int, tuple[Entry, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, id: int) -> Entry | None:
        """The entry, which is now the last to go."""
        with self._lock:
            found = self._entries.get(id)
            if found is None:
                return None
            self._entries.move_to_end(id)
            return found[0]

    def get_many(self, ids: Iterable[int]) -> dict[int, Entry]:
        """Those that are held, by id; they are now the last to go."""
        found = dict[int, Entry]()
        entries = self._entries
        with self._lock:
            for id in ids:
                if held := entries.get(id):
                    found[id] = held[0]
                    entries.move_to_end(id)
        return found

    def add(self, entry: Entry) -> None:
        """Hold `entry`; one that is larger than a quarter of the whole room is not held."""
        size = payload(entry)
        if 4 * size > self.max_bytes:
            return
        with self._lock:
            self._remove(entry.id)
            self._entries[entry.id] = entry, size
            self.size += size
            while self.size > self.max_bytes:
                self._remove(next(iter(self._entries)))

    def remove(self, ids: Iterable[int]) -> None:
        """Forget them."""
        with self._lock:
            for id in ids:
                self._remove(id)

    def clear(self) -> None:
        """Forget all of them."""
        self.remove(list(self._entries))

    def _remove(self, id: int) -> None:
        found = self._entries.pop(id, None)
        if found:
            self.size -= found[1]
            self._left(found[0])
