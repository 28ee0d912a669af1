"""A provider's connection whose bytes are handled as they come, without a turn of the loop for mitmproxy's reader.

One rule: what comes is handled in the order that it came in, and read only while what was sent on is taken: where
mitmproxy does anything but wait for it, its own reader gets it.
"""

import asyncio
from asyncio import StreamReaderProtocol
from typing import Any, cast

from mitmproxy.connection import ConnectionState, Server
from mitmproxy.proxy import events
from mitmproxy.proxy.server import ConnectionHandler

from askonce.proxy import http2

__all__ = ["FastResponseHooks"]


class FastResponseHooks:
    """Listens in the place of mitmproxy's reader."""

    def __init__(self, handler: ConnectionHandler, provider: Server) -> None:
        self._handler, self._provider = handler, provider
        self._protocol, self._client = _protocol(handler, provider), _protocol(handler, handler.client)
        self._reader: Any = self._protocol._stream_reader
        self._tasks = set[asyncio.Task[None]]()
        reading = handler.transports[provider].handler
        self._context = reading.get_context() if reading else None
        """Of mitmproxy's reader. The transport's own is that of who was connecting, in which addresses are checked."""

    def open(self) -> None:
        """Listen from now on. Raises AttributeError where asyncio is not the one that this was written for."""
        self._is_awaited()
        self._protocol.data_received = self._data_received
        self._protocol.connection_lost = self._connection_lost

    def _data_received(self, data: bytes) -> None:
        if not self._is_awaited():
            StreamReaderProtocol.data_received(self._protocol, data)
            return
        event = events.DataReceived(self._provider, data)
        handling = self._handler.server_event(event)
        task = asyncio.eager_task_factory(asyncio.get_running_loop(), handling, context=self._context)
        if not task.done():  # it waits for its turn, and what comes after it waits behind it
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _is_awaited(self) -> bool:
        waiter = self._reader._waiter
        return (
            waiter is not None
            and not waiter.done()
            and not self._reader._buffer
            and not self._client._paused
            and not http2.untaken(self._handler.client)
            and not self._protocol._paused
            and self._provider.state is ConnectionState.OPEN
        )

    def _connection_lost(self, error: Exception | None) -> None:
        del self._protocol.data_received, self._protocol.connection_lost
        StreamReaderProtocol.connection_lost(self._protocol, error)


def _protocol(handler: ConnectionHandler, connection: Any) -> Any:
    writer = cast(asyncio.StreamWriter, handler.transports[connection].writer)
    return cast(asyncio.Transport, writer.transport).get_protocol()
