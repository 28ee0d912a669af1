"""Hits on their way to callers who do not read: how many of them are kept for those.

A provider is read as slowly as its caller reads; a hit is there at once, whole.

One rule: a hit for which there is no room, soon, is no hit, and the call goes to the provider.
"""

import asyncio

from mitmproxy import connection, http
from mitmproxy.utils import asyncio_utils

from askonce.call import Reply
from askonce.calls.held_bodies import held_bodies
from askonce.calls.limits import SMALL
from askonce.proxy import http2
from askonce.proxy.backpressure import handler_of
from askonce.proxy.hook_dispatch import DirectHandler
from askonce.proxy.run_ahead import unsent

__all__ = ["find_room", "hold_unread", "left", "may_lack_room", "until_taken"]

_MOST = 256 << 10
"""Bytes of a connection that its client may leave before he is waited for."""
_SOON = 1.0
"""Seconds."""
_LOOK = 0.02
"""Seconds between two looks at a client."""


def may_lack_room(client: connection.Client, reply: Reply) -> bool:
    """Whether `find_room` has to be asked: mostly not."""
    return len(reply.body) > SMALL or left(client) > _MOST


def hold_unread(flow: http.HTTPFlow, size: int) -> None:
    """Count what was kept of an answer for a caller who has not read it, until he has or leaves."""
    name = f"unread {flow.id}"
    held_bodies.begin(name)
    held_bodies.hold(name, size)
    asyncio_utils.create_task(_hold(flow.client_conn, name), name="hold an answer", keep_ref=True)


async def find_room(flow: http.HTTPFlow, reply: Reply) -> bool:
    """Whether a hit may be sent: its client takes what was sent before, and a large one fits into `limits.max_held`."""
    name, client = f"hit {flow.id}", flow.client_conn
    size = 2 * len(reply.body)  # as it was made, and as it is sent
    held_bodies.begin(name)
    is_kept = held_bodies.hold(name, size) and await until_taken(client, _MOST, _SOON)
    if not is_kept:
        held_bodies.end(name)
        return False
    asyncio_utils.create_task(_hold(client, name), name="hold a hit", keep_ref=True, client=client.peername)
    return True


async def _hold(client: connection.Client, name: str) -> None:
    try:
        await asyncio.sleep(_LOOK)  # until it is sent
        await until_taken(client, 0)
    finally:
        held_bodies.end(name)


async def until_taken(
    client: connection.Client, most: int, seconds: float = float("inf"), *, stream_id: int = 0
) -> bool:
    """Wait until a client has taken all but `most` bytes, or has left; whether that was so in time."""
    end = asyncio.get_running_loop().time() + seconds
    while left(client, stream_id) > most:
        if asyncio.get_running_loop().time() >= end:
            return False
        await asyncio.sleep(_LOOK)
    return True


def left(client: connection.Client, stream_id: int = 0) -> int:
    """Bytes on their way to a client that he has not taken, of one of his streams or of all; 0 once he has left."""
    handler = handler_of(client)
    if handler is None or client not in handler.transports:
        return 0
    held = sum(len(step.data) for step in handler.held) if isinstance(handler, DirectHandler) else 0
    return held + unsent(handler) + http2.untaken(client, stream_id)
