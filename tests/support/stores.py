"""Stores that a test opens, and opens again."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

__all__ = ["closed_at_the_end"]


class Store(Protocol):
    def close(self) -> None: ...


@contextlib.contextmanager
def closed_at_the_end[S: Store](open_store: Callable[..., S]) -> Iterator[Callable[..., S]]:
    """`open_store`, whose stores are closed when the test is over."""
    with contextlib.ExitStack() as stack:

        def opened(**given: Any) -> S:
            store = open_store(**given)
            stack.callback(store.close)
            return store

        yield opened
