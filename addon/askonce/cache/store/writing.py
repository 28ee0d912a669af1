"""What is written to a store of answers, whichever it is: each is one operation of its writer's next transaction."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

from askonce.cache.learning.pools import Observation
from askonce.cache.store.entry import Entry, Filter, StoreError, payload, raw_key
from askonce.cache.store.protocol import EVERYTHING

__all__ = ["Transaction", "Writing"]


class Transaction(Protocol):
    """What an operation may do."""

    def put(self, entry: Entry, /) -> Entry: ...
    def id_of(self, partition: bytes, key: bytes, /) -> int: ...
    def delete(self, key: bytes, /) -> bool: ...
    def clear(self, filter: Filter, /) -> int: ...
    def observe(self, observation: Observation, refused: bytes | None, /) -> None: ...
    def refuse(self, pair: bytes, time: float, /) -> None: ...
    def alias(self, key: bytes, entry: bytes, pair: bytes, observation: Observation, /) -> None: ...
    def spend(self, name: str, day: int, most: int, /) -> bool: ...


class _OperationWriter(Protocol):
    def submit(self, operation: Callable[[Any], Any], /) -> "Future[Any]": ...


class Writing[W: _OperationWriter]:
    """The writes of a store that has a writer. What fails gives StoreError to its future."""

    _writer: W
    _max_bytes: int
    """That one caller may hold."""

    def _submit[T](self, operation: Callable[[Transaction], T]) -> "Future[T]":
        return self._writer.submit(operation)

    def put(self, entry: Entry) -> Future[Entry]:
        """Keep `entry`, in place of the one with its key. The result carries its id."""
        return self._submit_entry(entry, lambda transaction: transaction.put(entry))

    def put_over(self, entry: Entry) -> Future[Entry | None]:
        """The same, where the one with its key has the id of `entry`, or there is none and that is 0; else None, and
        nothing changes."""
        key = raw_key(entry.key)

        def put(transaction: Transaction) -> Entry | None:
            return transaction.put(entry) if transaction.id_of(entry.partition, key) == entry.id else None

        return self._submit_entry(entry, put)

    def _submit_entry[T](self, entry: Entry, operation: Callable[[Transaction], T]) -> "Future[T]":
        size = payload(entry)
        if size > self._max_bytes:
            future: Future[T] = Future()
            most = f"the cache may hold of one caller ({self._max_bytes})"
            future.set_exception(StoreError(f"{size} bytes are more than {most}"))
            return future
        return self._submit(operation)

    def delete(self, key: str) -> Future[bool]:
        """Whether there was one to delete."""
        raw = raw_key(key)
        return self._submit(lambda transaction: transaction.delete(raw))

    def clear(self, filter: Filter = EVERYTHING) -> Future[int]:
        """Delete what `filter` names; the result is how many."""
        return self._submit(lambda transaction: transaction.clear(filter))

    def observe_answer(self, observation: Observation, refused: bytes | None = None) -> Future[None]:
        """Keep an observation and, where it is about a pair that was served wrongly, that pair."""
        return self._submit(lambda transaction: transaction.observe(observation, refused))

    def refuse(self, pair: bytes, time: float) -> Future[None]:
        """Keep a pair that is never to be served again."""
        return self._submit(lambda transaction: transaction.refuse(pair, time))

    def keep_verdict(self, observation: Observation, key: bytes, entry: str, pair: bytes) -> Future[None]:
        """Keep what a verifier said of a call's key and an entry: an alias where the observation is right, else a pair
        that is never served."""
        raw = raw_key(entry)

        def keep(transaction: Transaction) -> None:
            transaction.observe(observation, None if observation.right else pair)
            if observation.right:
                transaction.alias(key, raw, pair, observation)

        return self._submit(keep)

    def spend(self, name: str, day: int, most: int) -> Future[bool]:
        """Take one of the `most` that a day has; whether there was one left, which holds over restarts."""
        return self._submit(lambda transaction: transaction.spend(name, day, most))

    def flush(self) -> Future[None]:
        """Done when everything asked before it is kept, hits included."""
        return self._submit(lambda transaction: None)
