"""Writes on their way to the thread that writes: they wait, and what has gathered is taken together.

One rule: they are taken in the order they came, and more than `WAITING` are refused at once.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from askonce.cache.store.entry import StoreError

__all__ = ["PURGE_SECONDS", "TIDY_SECONDS", "Gathering", "Write"]

WAITING = 10_000
"""Writes that may wait before more are refused."""
TIDY_SECONDS = 2.0
"""How long hits may wait to be written."""
PURGE_SECONDS = 30.0
"""How often expired entries are deleted."""


@dataclass(slots=True)
class Write:
    """What is to be done in a transaction, which is given to it."""

    operation: Callable[[Any], Any]
    future: "Future[Any]" = field(default_factory=Future)
    """Has what `operation` returns, or StoreError, once that is acknowledged."""


class Gathering[W: Write]:
    """The writes that wait. Thread-safe; one thread takes."""

    def __init__(self, together: int, whom: str) -> None:
        """`together` are taken at most; `whom` they wait for is told to who is refused."""
        self._together, self._whom = together, whom
        self._queue: queue.Queue[W | None] = queue.Queue(WAITING)
        self._door = threading.Lock()
        self.is_closed = False
        """Nothing is taken in any more."""

    def put(self, write: W) -> None:
        """Raises StoreError where it cannot wait."""
        with self._door:
            if self.is_closed:
                raise StoreError("the cache is closed")
            try:
                self._queue.put_nowait(write)
            except queue.Full:
                raise StoreError(f"{WAITING} writes already wait for {self._whom}") from None

    def close(self) -> None:
        """Take no more; a second time does nothing."""
        with self._door:
            closing, self.is_closed = not self.is_closed, True
        if closing:
            self._queue.put(None)

    def take(self) -> tuple[list[W], bool]:
        """What has gathered, within `TIDY_SECONDS`, and whether nothing comes after it."""
        gathered: list[W] = []
        try:
            write = self._queue.get(timeout=TIDY_SECONDS)
            while write is not None:
                if write.future.set_running_or_notify_cancel():
                    gathered.append(write)
                if len(gathered) >= self._together:
                    return gathered, False
                write = self._queue.get_nowait()
        except queue.Empty:
            return gathered, False
        return gathered, True
