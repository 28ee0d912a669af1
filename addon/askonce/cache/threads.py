"""The threads of one cache: a few for look-ups and the store, one for what may take as long as it likes.

One rule: what touches the disk, or computes for long, is done here, and nothing more is begun once the cache is closed.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from askonce.cache.store import StoreError
from askonce.workers import Workers

__all__ = ["CacheThreads"]


class CacheThreads:
    """May be used from any number of event loops."""

    def __init__(self) -> None:
        self.is_open = True
        self.background = ThreadPoolExecutor(1, thread_name_prefix="askonce-background")
        self._workers = Workers(min(8, (os.cpu_count() or 1) + 2), "askonce-cache")

    async def run[**P, T](self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work` returns or raises. Raises StoreError once nothing is begun any more."""
        if not self.is_open:
            raise StoreError("the cache is closed")
        return await self._workers.run(lambda: work(*args, **kwargs))

    def begin_nothing(self) -> None:
        """From now on."""
        self.is_open = False

    def close(self) -> None:
        """Do what was asked of the workers so far, leave out what waits in the background, and end the threads."""
        self.background.shutdown(cancel_futures=True)
        self._workers.close()
