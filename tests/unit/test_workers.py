"""Askonce's own threads."""

import asyncio
import threading
import weakref

import pytest
from tests.support.waiting import PATIENCE, until

from askonce.workers import Workers


async def test_results_and_errors_come_back_and_the_loop_goes_on() -> None:
    workers = Workers(2, "test")
    started = threading.Event()
    slow = asyncio.ensure_future(workers.run(lambda: started.wait(PATIENCE)))
    assert await workers.run(threading.current_thread) is not threading.current_thread()
    with pytest.raises(ZeroDivisionError):
        await workers.run(lambda: 1 / 0)
    started.set()
    assert await slow is True
    workers.close()


async def test_many_jobs_keep_their_results() -> None:
    workers = Workers(2, "test")
    assert await asyncio.gather(*(workers.run(lambda n=n: n * n) for n in range(500))) == [n * n for n in range(500)]
    workers.close()


async def test_whoever_stops_waiting_disturbs_nobody() -> None:
    workers = Workers(1, "test")
    gate = threading.Event()
    gone = asyncio.ensure_future(workers.run(lambda: gate.wait(PATIENCE)))
    await asyncio.sleep(0)
    gone.cancel()
    gate.set()
    assert await workers.run(lambda: "next") == "next"
    workers.close()


async def test_closed_workers_finish_and_refuse() -> None:
    workers = Workers(1, "test")
    last = asyncio.ensure_future(workers.run(lambda: "done"))
    await asyncio.sleep(0)
    workers.close()
    assert await last == "done"
    workers.close()
    with pytest.raises(RuntimeError, match="sent home"):
        await workers.run(lambda: None)


def test_a_closed_loop_is_no_error() -> None:
    workers = Workers(1, "test")
    gate = threading.Event()

    async def leave() -> None:
        left = asyncio.ensure_future(workers.run(lambda: gate.wait(PATIENCE)))
        await asyncio.sleep(0)
        assert not left.done()

    asyncio.run(leave())
    gate.set()
    workers.close()


class _Body:
    """What a weak reference can be made to."""


async def test_nothing_of_a_job_is_kept_while_the_thread_waits_for_the_next() -> None:
    workers, given = Workers(1, "test"), _Body()
    given_once = weakref.ref(given)
    made_once = weakref.ref(await workers.run(lambda body=given: (body, _Body())[1]))  # type: ignore[misc]
    del given
    await asyncio.sleep(0)  # the event loop holds the future for as long as the turn that it woke
    until(lambda: given_once() is None and made_once() is None, seconds=10)
    workers.close()
