"""Runs the sample provider on loopback: in the running event loop, in a thread, or as a process of its own.

One rule: every accepted connection is counted, also one that never says anything.
"""

import asyncio
import contextlib
import logging
import socket
from pathlib import Path
from typing import Self
from weakref import WeakValueDictionary

from anyio.from_thread import start_blocking_portal
from hypercorn.asyncio import serve
from hypercorn.config import Config, Sockets

from askonce.sample.control import Control, Pace
from askonce.sample.performance import Address
from askonce.sample.provider import application

__all__ = ["MODEL_PACE", "SampleProvider"]

MODEL_PACE = Pace(first_token=0.35, per_token=0.015)
"""About a small hosted model's."""

_STOP_SECONDS = 2.0
"""What answers under way get when the provider stops."""


class SampleProvider:
    """A provider of LLM answers on loopback; `async with` runs it in this event loop, `with` in a thread.

    With `cert` and `key` (PEM files) it speaks TLS, HTTP/1.1 and HTTP/2. It accepts connections from the moment it
    is made. Raises OSError where the port is taken or a certificate cannot be read.
    """

    def __init__(
        self, *, port: int = 0, cert: Path | None = None, key: Path | None = None, pace: Pace = MODEL_PACE
    ) -> None:
        self.control = Control(pace)
        """Counters, scripts and settings, as the control API shows them."""
        self._config = _Config(cert, key)
        self._listener = self._config.listener = _Listener(port, self.control)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if cert else 'http'}://127.0.0.1:{self.port}"
        self._stop = asyncio.Event()
        self._running = contextlib.AsyncExitStack()
        self._thread = contextlib.ExitStack()

    async def serve(self) -> None:
        """Serve until `stop` is called in the same event loop."""
        app = application(self.control, self._listener.cut)
        serving = asyncio.create_task(serve(app, self._config, shutdown_trigger=self._stop.wait, mode="asgi"))  # type: ignore[arg-type]
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({serving}, timeout=_STOP_SECONDS)
            self._listener.cut_all()
            await serving
        finally:
            stopping.cancel()

    def stop(self) -> None:
        """End `serve`."""
        self._stop.set()

    async def __aenter__(self) -> Self:
        tasks = await self._running.enter_async_context(asyncio.TaskGroup())
        self._running.callback(self.stop)
        tasks.create_task(self.serve())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._running.aclose()

    def __enter__(self) -> Self:
        portal = self._thread.enter_context(start_blocking_portal())
        self._thread.enter_context(portal.wrap_async_context_manager(self))
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.close()


class _Listener(socket.socket):
    """The listening socket: counts what it accepts, and can cut it."""

    def __init__(self, port: int, control: Control) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_STREAM)
        self._control = control
        self._accepted: WeakValueDictionary[Address, socket.socket] = WeakValueDictionary()
        self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.setblocking(False)
        try:
            self.bind(("127.0.0.1", port))
            self.listen(128)
        except OSError:
            self.close()
            raise

    def accept(self) -> tuple[socket.socket, Address]:
        connection, address = super().accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._accepted[address] = connection
        self._control.accepted(address)
        return connection, address

    def cut(self, address: Address) -> None:
        """Close a client's connection without a word, TLS or not."""
        if connection := self._accepted.get(address):
            with contextlib.suppress(OSError):  # it is gone already
                connection.shutdown(socket.SHUT_RDWR)

    def cut_all(self) -> None:
        for address in list(self._accepted):
            self.cut(address)


class _Config(Config):
    """Hypercorn on a socket that is there already."""

    include_server_header = False
    keep_alive_timeout = 300.0  # as providers do; Hypercorn's 5 s would close connections under a slow test
    keep_alive_max_requests = 1_000_000
    errorlog = logging.getLogger("askonce.sample")

    listener: socket.socket

    def __init__(self, cert: Path | None, key: Path | None) -> None:
        if cert and key:
            self.certfile, self.keyfile = str(cert), str(key)
            self.create_ssl_context()  # a bad certificate is said now, not when the first caller comes

    def create_sockets(self) -> Sockets:
        return Sockets([self.listener], [], []) if self.ssl_enabled else Sockets([], [self.listener], [])
