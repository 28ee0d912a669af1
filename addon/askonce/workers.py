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
from typing import Any, Protocol

__all__ = ["Compute", "Workers"]

_Job = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[], Any]]


class Compute(Protocol):
    """Runs a function in Askonce's own threads: `Workers.run`."""

    async def __call__[R](self, function: Callable[[], R], /) -> R: ...


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
        while _done(self._jobs.get()):
            pass


def _done(job: _Job | None) -> bool:
    """Do a job, and keep nothing of it: a thread that waits for the next one would keep the last one's body."""
    if job is None:
        return False
    loop, outcome, work = job
    if outcome.cancelled():
        return True
    try:
        result = work()
    except BaseException as error:
        # Without this frame, which holds the future that is to hold the error: only the collector would end that.
        _tell(loop, _fail, outcome, error.with_traceback(error.__traceback__ and error.__traceback__.tb_next))
    else:
        _tell(loop, _succeed, outcome, result)
    return True


def _tell(loop: asyncio.AbstractEventLoop, settle: Callable[..., None], outcome: object, value: object) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
        loop.call_soon_threadsafe(settle, outcome, value)


def _succeed(outcome: "asyncio.Future[Any]", result: object) -> None:
    if not outcome.done():
        outcome.set_result(result)


def _fail(outcome: "asyncio.Future[Any]", error: BaseException) -> None:
    if not outcome.done():
        outcome.set_exception(error)
