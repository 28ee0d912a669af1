"""Askonce's own threads, for all that computes or touches the disk.

Not asyncio's default executor: that one resolves the names of upstream hosts. And not concurrent.futures: its two
futures a job, each with a lock, cost a lookup more than the lookup itself (measured with semantic hits: 2225 µs of CPU
a call against 2000 µs).
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["Workers"]

_Job = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[], Any]]


class Workers:
    """A few threads that run functions for coroutines. May be used from any number of event loops."""

    def __init__(self, threads: int, name: str) -> None:
        self._jobs = queue.SimpleQueue[_Job | None]()
        self._threads = [threading.Thread(target=self._work, name=f"{name}-{n}", daemon=True) for n in range(threads)]
        self._closed = False
        for thread in self._threads:
            thread.start()

    async def run[R](self, work: Callable[[], R], /) -> R:
        """What `work` returns or raises; not begun once nobody waits for it. Raises RuntimeError once closed."""
        if self._closed:
            raise RuntimeError("these workers have been sent home")
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[R] = loop.create_future()
        self._jobs.put((loop, outcome, work))
        return await outcome

    def close(self) -> None:
        """Do what was asked so far, then end the threads. Waits for them."""
        if not self._closed:
            self._closed = True
            for _ in self._threads:
                self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while job := self._jobs.get():
            loop, outcome, work = job
            if outcome.cancelled():
                continue
            try:
                result = work()
            except BaseException as error:
                _tell(loop, _fail, outcome, error)
            else:
                _tell(loop, _succeed, outcome, result)


def _tell(loop: asyncio.AbstractEventLoop, settle: Callable[..., None], outcome: object, value: object) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
        loop.call_soon_threadsafe(settle, outcome, value)


def _succeed(outcome: "asyncio.Future[Any]", result: object) -> None:
    if not outcome.done():
        outcome.set_result(result)


def _fail(outcome: "asyncio.Future[Any]", error: BaseException) -> None:
    if not outcome.done():
        outcome.set_exception(error)
