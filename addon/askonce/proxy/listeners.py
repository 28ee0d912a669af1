"""How listeners take connections: few in one turn of the event loop, while many may wait in the kernel.

asyncio takes one number, `backlog`, for both, and so lets a hundred connections begin in one turn, for which all others
wait; the hundred-and-second in the kernel's queue is sent away, to try again a second later.

One rule: only what asyncio documents is used. A loop that counts otherwise takes connections as it always did.
"""

import asyncio
import contextlib
from typing import Any

__all__ = ["A_TURN", "WAITING", "take_turns"]

A_TURN = 8
"""Connections that begin in one turn: each costs a fraction of a millisecond."""
WAITING = 1024
"""Connections that wait for their turn in the kernel, which may allow fewer (`net.core.somaxconn`)."""


def take_turns(loop: asyncio.AbstractEventLoop, **more: Any) -> None:
    """Have the listeners that are made in a loop from now on do so; `more` is for each `create_server`."""
    create = loop.create_server

    async def create_server(*arguments: Any, backlog: int = WAITING, **options: Any) -> asyncio.Server:
        server = await create(*arguments, backlog=min(backlog, A_TURN), **more | options)
        for listener in server.sockets:
            # A second call of listen(2) changes the queue's length alone, and a duplicate is the same socket.
            with contextlib.suppress(OSError), listener.dup() as same:
                same.listen(backlog)
        return server

    loop.create_server = create_server  # type: ignore[method-assign]
