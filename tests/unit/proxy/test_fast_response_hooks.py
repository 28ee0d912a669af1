"""A provider's bytes, handled as they come or left to mitmproxy's reader, which waits for who does not read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy.connection import ConnectionState
from mitmproxy.test import tflow
from tests.support.waiting import until_so

from askonce.proxy import http2
from askonce.proxy.fast_response_hooks import FastResponseHooks

CONNECTING = ContextVar("connecting", default=False)
"""What a task that connects sets, and takes back: a transport remembers what held when it was made."""


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[asyncio.StreamWriter, "asyncio.Task[bytes]", list[bytes], list[bool]]]:
    """The provider's end of a connection, what mitmproxy's reader waits for, what was handled at once, and whether that
    was taken for connecting."""
    theirs = asyncio.Queue[asyncio.StreamWriter]()
    server = await asyncio.start_server(lambda _, writer: theirs.put_nowait(writer), "127.0.0.1")
    client, provider, handled = tflow.tclient_conn(), tflow.tserver_conn(), list[bytes]()
    seen = list[bool]()
    provider.state = ConnectionState.OPEN
    CONNECTING.set(True)
    ends = [await asyncio.open_connection(*server.sockets[0].getsockname()) for _ in (client, provider)]
    CONNECTING.set(False)
    others = [await theirs.get() for _ in ends]

    async def server_event(event: Any) -> None:
        handled.append(event.data)
        seen.append(CONNECTING.get())

    waiting = asyncio.ensure_future(ends[1][0].read(65536))
    at = {
        one: SimpleNamespace(writer=end[1], handler=waiting) for one, end in zip((client, provider), ends, strict=True)
    }
    await asyncio.sleep(0)
    FastResponseHooks(SimpleNamespace(client=client, transports=at, server_event=server_event), provider).open()  # type: ignore[arg-type]
    try:
        yield others[1], waiting, handled, seen
    finally:
        waiting.cancel()
        for writer in (*others, *(end[1] for end in ends)):
            writer.close()
        server.close()


async def test_what_comes_is_handled_at_once() -> None:
    async with listening() as (provider, waiting, handled, _):
        provider.write(b"one")
        await until_so(lambda: handled == [b"one"])
        assert not waiting.done()


async def test_what_comes_is_the_readers_while_an_http2_client_has_not_taken_what_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with listening() as (provider, waiting, handled, _):
        monkeypatch.setattr(http2, "untaken", lambda client: 1)
        provider.write(b"one")
        await until_so(lambda: handled or waiting.done())
        assert (handled, waiting.done()) == ([], True)


async def test_it_is_handled_as_what_mitmproxys_reader_hears() -> None:
    async with listening() as (provider, _, handled, seen):
        provider.write(b"one")
        await until_so(lambda: handled == [b"one"])
        assert seen == [False]
