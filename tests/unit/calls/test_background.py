"""What is under way is counted and held, and ended in the end."""

import asyncio
import contextlib
import gc

from askonce.calls.background import Background


async def test_what_is_over_is_let_go() -> None:
    background, may_end = Background(), asyncio.Event()
    task = background.start(may_end.wait())
    assert len(background) == 1
    may_end.set()
    assert await task
    await asyncio.sleep(0)
    assert len(background) == 0


async def test_nobody_else_has_to_hold_a_task() -> None:
    background, done = Background(), asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0)
        done.set()

    background.start(work())
    gc.collect()
    await asyncio.wait_for(done.wait(), 30)


async def test_what_is_under_way_is_over_when_it_is_closed() -> None:
    background, ended, is_begun = Background(), list[str](), asyncio.Event()

    async def work() -> None:
        is_begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        ended.append("work")
        raise ValueError("is nobody's concern")

    background.start(work())
    await is_begun.wait()
    await background.close()
    assert ended == ["work"]
