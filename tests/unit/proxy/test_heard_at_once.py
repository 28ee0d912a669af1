"""A provider's bytes, handled as they come or left to mitmproxy's reader, which waits for who does not read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy.connection import ConnectionState
from mitmproxy.test import tflow
from tests.waiting import until_so

from askonce.proxy import http2
from askonce.proxy.heard_at_once import HeardAtOnce


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[asyncio.StreamWriter, "asyncio.Task[bytes]", list[bytes]]]:
    """The provider's end of a connection, what mitmproxy's reader waits for, and what was handled at once."""
    theirs = asyncio.Queue[asyncio.StreamWriter]()
    server = await asyncio.start_server(lambda _, writer: theirs.put_nowait(writer), "127.0.0.1")
    client, provider, handled = tflow.tclient_conn(), tflow.tserver_conn(), list[bytes]()
    provider.state = ConnectionState.OPEN
    ends = [await asyncio.open_connection(*server.sockets[0].getsockname()) for _ in (client, provider)]
    others = [await theirs.get() for _ in ends]

    async def server_event(event: Any) -> None:
        handled.append(event.data)

    at = {one: SimpleNamespace(writer=end[1]) for one, end in zip((client, provider), ends, strict=True)}
    waiting = asyncio.ensure_future(ends[1][0].read(65536))
    await asyncio.sleep(0)
    HeardAtOnce(SimpleNamespace(client=client, transports=at, server_event=server_event), provider).open()  # type: ignore[arg-type]
    try:
        yield others[1], waiting, handled
    finally:
        waiting.cancel()
        for writer in (*others, *(end[1] for end in ends)):
            writer.close()
        server.close()


async def test_what_comes_is_handled_at_once() -> None:
    async with listening() as (provider, waiting, handled):
        provider.write(b"one")
        await until_so(lambda: handled == [b"one"])
        assert not waiting.done()


async def test_what_comes_is_the_readers_while_an_http2_client_has_not_taken_what_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with listening() as (provider, waiting, handled):
        monkeypatch.setattr(http2, "untaken", lambda client: 1)
        provider.write(b"one")
        await until_so(lambda: handled or waiting.done())
        assert (handled, waiting.done()) == ([], True)
