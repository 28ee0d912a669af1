"""What is left of what came, as mitmproxy's own layers hold it, and that nothing more is read meanwhile."""

import asyncio
from collections.abc import Iterator
from typing import Any

import h2.config
import h2.connection
import pytest
from mitmproxy import connection, options
from mitmproxy.proxy import commands, context, events, layer
from mitmproxy.proxy.layers import http
from mitmproxy.test import tflow
from tests.support.waiting import until_so

from askonce.proxy.backpressure import PacedReader, untaken

HEAD = b"POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\nContent-Length: %d\r\n\r\n"
MUCH = b" " * 100_000


@pytest.fixture
def client() -> connection.Client:
    return tflow.tclient_conn()


def speaking(client: connection.Client, alpn: bytes | None = None) -> http.HttpLayer:
    """What mitmproxy makes of a client's connection; its hooks are never over."""
    client.alpn = alpn
    opts = options.Options()
    for name in ("stream_large_bodies", "body_size_limit", "connection_strategy"):
        opts.add_option(name, str | None, None, "")  # type: ignore[arg-type]
    opts.add_option("validate_inbound_headers", bool, True, "")
    top = http.HttpLayer(context.Context(client, opts), http.HTTPMode.regular)
    told(top, events.Start())
    return top


def told(top: layer.Layer, event: events.Event) -> list[commands.Command]:
    return list(top.handle_event(event))


@pytest.mark.parametrize(
    ("sent", "left"),
    [(HEAD % 2 + b"{}", 2), (HEAD % 2 + b"{}" + MUCH, len(MUCH)), (HEAD % (2 * len(MUCH)) + MUCH, len(MUCH))],
    ids=["a call", "behind a call", "of a body"],
)
def test_what_is_left_of_a_client(client: connection.Client, sent: bytes, left: int) -> None:
    top = speaking(client)
    assert untaken(top) == 0
    told(top, events.DataReceived(client, sent))
    assert left <= untaken(top) <= left + 1000


def test_small_frames_count_for_what_they_take(client: connection.Client) -> None:
    top = speaking(client, b"h2")
    sender = h2.connection.H2Connection(h2.config.H2Configuration())
    sender.initiate_connection()
    fields = [(":method", "POST"), (":scheme", "https"), (":authority", "example.com"), (":path", "/")]
    sender.send_headers(1, fields)
    for _ in range(1000):
        sender.send_data(1, b"a")
    told(top, events.DataReceived(client, sender.data_to_send()))
    assert untaken(top) >= 200_000


class Handler:
    """Stands for mitmproxy's handler of a connection, whose next event takes all that is left."""

    def __init__(self, top: layer.Layer) -> None:
        self.layer = top
        self.told = list[events.Event]()

    async def server_event(self, event: events.Event) -> None:
        self.told.append(event)
        self.layer = speaking(tflow.tclient_conn())


@pytest.fixture
def reports() -> list[Any]:
    return []


@pytest.fixture
def handler(client: connection.Client) -> Iterator[Handler]:
    top = speaking(client)
    told(top, events.DataReceived(client, HEAD % 2 + b"{}" + MUCH * 3))
    yield Handler(top)


async def test_nothing_is_read_while_much_is_left(handler: Handler, reports: list[Any]) -> None:
    reader = asyncio.StreamReader()
    paced = PacedReader(reader, handler, lambda *what: reports.append(what))  # type: ignore[arg-type]
    reader.feed_data(MUCH)
    assert len(await paced.read(65536)) == 65536
    second = asyncio.ensure_future(paced.read(65536))
    await until_so(lambda: paced.is_held_up)
    assert not second.done()
    await handler.server_event(events.Start())
    assert len(await second) == len(MUCH) - 65536
    assert not paced.is_held_up
    await handler.server_event(events.Start())
    assert len(handler.told) == 2
    assert "server_event" not in vars(handler)
    assert not reports


async def test_what_is_not_understood_is_read_on(reports: list[Any]) -> None:
    reader = asyncio.StreamReader()
    strange = Handler(None)  # type: ignore[arg-type]
    paced = PacedReader(reader, strange, lambda *what: reports.append(what))  # type: ignore[arg-type]
    reader.feed_data(MUCH)
    assert len(await paced.read(65536)) + len(await paced.read(65536)) == len(MUCH)
    assert [what for what, *_ in reports] == ["backpressure"]
