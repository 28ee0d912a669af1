"""Work that no call waits for.

One rule: it ends with whoever began it.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

__all__ = ["Background"]


class Background:
    """Tasks under way; its length says how many. Belongs to one event loop; `close` it at the end."""

    def __init__(self) -> None:
        self._tasks = set[asyncio.Task[Any]]()  # the event loop itself would let go of them

    def __len__(self) -> int:
        return len(self._tasks)

    def start[T](self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Have it done."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """End what is under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
