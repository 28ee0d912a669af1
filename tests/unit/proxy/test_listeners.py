"""Listeners that let few connections begin in one turn of the loop, and many wait in the kernel."""

import asyncio
import contextlib
import select
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

import pytest
from tests.support.waiting import until, until_so

from askonce.proxy.listeners import A_TURN, take_turns

MANY = 120
"""More than asyncio's own hundred, fewer than the least that a kernel allows (128)."""


@contextlib.contextmanager
def connecting(server: asyncio.Server, count: int) -> Iterator[Callable[[], int]]:
    """So many connections to a server; tells how many of them the kernel has accepted, while nobody takes them."""
    with contextlib.ExitStack() as many:
        connections = [many.enter_context(socket.socket()) for _ in range(count)]
        for connection in connections:
            connection.setblocking(False)
            connection.connect_ex(server.sockets[0].getsockname())
        yield lambda: len(select.select([], connections, [], 0)[1])


async def count_turns(server: asyncio.Server, begun: Counter[int], turn: list[int]) -> None:
    """Count the turns of the loop until `MANY` connections have begun."""
    loop = asyncio.get_running_loop()

    def tick() -> None:
        turn[0] += 1
        loop.call_soon(tick)

    with connecting(server, MANY) as accepted:
        until(lambda: accepted() == MANY)
        tick()
        await until_so(lambda: begun.total() == MANY)


def in_a_loop(test: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        take_turns(asyncio.get_running_loop())
        await test()

    asyncio.run(run())


@pytest.mark.parametrize("factory", [None, asyncio.eager_task_factory], ids=["tasks", "eager tasks"])
def test_few_connections_begin_in_one_turn_and_none_is_sent_away(factory: object) -> None:
    async def test() -> None:
        asyncio.get_running_loop().set_task_factory(factory)  # type: ignore[arg-type]
        begun, turn = Counter[int](), [0]

        async def begin(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            begun[turn[0]] += 1
            writer.close()

        async with await asyncio.start_server(begin, "127.0.0.1", 0) as server:
            await count_turns(server, begun, turn)
        assert max(begun.values()) <= A_TURN

    in_a_loop(test)


def test_a_queue_that_is_asked_for_is_made() -> None:
    async def test() -> None:
        async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, backlog=1) as server:
            with connecting(server, A_TURN) as accepted:
                until(lambda: accepted() >= 1)
                assert accepted() < A_TURN

    in_a_loop(test)
