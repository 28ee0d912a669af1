"""What a provider says reaches the client alike on both lanes, however it is cut, ended or wrong: the bytes to both,
what is kept and what is counted. Through TLS to the provider as well as without."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
import trustme
from mitmproxy import ctx
from tests.support.live import Live, Message, Provider, live
from tests.support.waiting import until_so
from tests.unit.proxy.test_fast_lane import HOST, RULES, Lanes, Script, answer, chunked, request

from askonce.proxy.fast_response_bodies import BodyOnItsWay

pytestmark = pytest.mark.asyncio(loop_scope="module")

CUT = b"the connection is cut here"
WAIT = b"the test says when it goes on"
LARGE = 40_000
CALM = "What is the capital of Ghana?"


@dataclass
class Scripted(Provider):
    """Sends what `pieces` has for a question, piece by piece."""

    answer: Any = None
    pieces: dict[bytes, list[bytes]] = field(default_factory=dict)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    sent: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def more() -> AsyncIterator[bytes]:
            while piece := await reader.read(1 << 16):
                yield piece

        messages = Message(more)
        try:
            while True:
                asked = await messages.next()
                self.requests.append(asked)
                for piece in next((said for name, said in self.pieces.items() if name in asked), [answer(asked)]):
                    if piece is CUT:
                        return
                    if piece is WAIT:
                        await self.go_on.wait()
                        continue
                    writer.write(piece)
                    await writer.drain()
                    self.sent += len(piece)
                    await asyncio.sleep(0.002 if len(piece) < LARGE else 0)  # so that it is mostly read by itself
        except (EOFError, OSError):
            pass
        finally:
            writer.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["http", "https"])
async def lanes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Lanes, Scripted]]:
    folder, authority, context = tmp_path_factory.mktemp("lanes"), trustme.CA(), None
    if request.param == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    upstream = Scripted()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, ssl=context)
    rules = RULES.format(upstream=f"{request.param}://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with live(folder / "fast", rules) as fast, live(folder / "other", rules, lane=False) as other:
        for proxy in (fast, other):
            proxy.master.options.update(ssl_verify_upstream_trusted_ca=str(folder / "ca.pem"))
        yield Lanes(upstream, fast, other), upstream
    server.close()


@pytest.fixture(autouse=True)
def nothing_crashes(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert not [record.getMessage() for record in caplog.get_records("call") if record.levelno >= logging.ERROR]


@pytest.fixture
def passed_on(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the pieces that went the short way."""
    seen, take = list[int](), BodyOnItsWay.take

    def taking(body: BodyOnItsWay, text: bytes) -> list[bytes]:
        seen.append(len(text))
        return take(body, text)

    monkeypatch.setattr(BodyOnItsWay, "take", taking)
    return seen


def streamed(*texts: str, end: bytes = b"data: [DONE]\n\n") -> bytes:
    event = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"gpt","choices":[%s]}\n\n'
    deltas = [b'{"index":0,"delta":{"content":"%s"},"finish_reason":null}' % text.encode() for text in texts]
    deltas.append(b'{"index":0,"delta":{},"finish_reason":"stop"}')
    return b"".join([event % delta for delta in deltas]) + end


BODY = streamed(*[f"word {number} " for number in range(40)])
KIND = b"content-type: text/event-stream\r\n"
OK = b"HTTP/1.1 200 OK\r\n" + KIND
LENGTH = OK + b"content-length: %d\r\n\r\n" % len(BODY)
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
CHUNKS = chunked(BODY, 9)


def cut(text: bytes, size: int) -> list[bytes]:
    return [text[start : start + size] for start in range(0, len(text), size)]


GOES_ON = {
    "chunks": [CHUNKED, *cut(CHUNKS, 500)],
    "chunks, the first with the head": [CHUNKED + CHUNKS[:300], *cut(CHUNKS[300:], 700)],
    "one write": [CHUNKED + CHUNKS],
    "a few bytes each": [*cut(CHUNKED, 9), *cut(CHUNKS[:400], 3), CHUNKS[400:]],
    "an end apart": [CHUNKED + CHUNKS[:-5], b"0", b"\r\n", b"\r", b"\n"],
    "a length": [LENGTH, *cut(BODY, 600)],
    "no body": [b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"],
    "nothing to say": [b"HTTP/1.1 204 No Content\r\n\r\n"],
    "interim responses": [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\n", LENGTH, BODY],
    "trailers": [CHUNKED, CHUNKS[:-2], b"x-sum: 1\r\n\r\n"],
    "extensions": [CHUNKED, b"3;x=y\r\n: x\r\n", b"0\r\n\r\n"],
    "an error that streams": [CHUNKED.replace(b"200 OK", b"429 Too Many"), *cut(CHUNKS, 900)],
    "not at its end": [CHUNKED, *cut(chunked(BODY[:700], 4), 200)],
    "another kind": [CHUNKED.replace(b"text/event-stream", b"text/plain"), *cut(CHUNKS, 900)],
}
ENDS = {
    "connection: close": [CHUNKED.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"), *cut(CHUNKS, 500)],
    "no length": [OK + b"\r\n", *cut(BODY, 700)],
    "HTTP/1.0": [LENGTH.replace(b"HTTP/1.1", b"HTTP/1.0"), *cut(BODY, 700)],
    "cut in a chunk": [CHUNKED, CHUNKS[:1000]],
    "cut in a length": [LENGTH, BODY[:1000]],
    "cut in a head": [CHUNKED[:20]],
    "cut before a head": [],
    "cut after a head": [CHUNKED],
    "no head": [b"What?\r\n\r\n"],
    "no chunks": [CHUNKED, CHUNKS[:600], b"What?\r\n", CHUNKS[600:]],
    "no chunks, at once": [CHUNKED + CHUNKS[: CHUNKS.index(b"\r\n", 50) + 2] + b"What?\r\n"],
    "a large line": [CHUNKED, CHUNKS[:200], b"x" * (70 << 10)],
    "two lengths": [LENGTH.replace(b"content-length", b"content-length: 5\r\ncontent-length"), BODY],
    "a large head": [OK + b"x: " + b"y" * (70 << 10)],
}


def asked(name: str, **more: object) -> bytes:
    return request(f"This is about {name}, is it?", stream=True, **more)


def script_of(name: str, *, ends: bool) -> Script:
    async def script(client: Any, proxy: Live) -> list[bytes]:
        told = [await client.ask(request(CALM))]
        await proxy.settled()
        client.send(asked(name))
        if ends:
            return [*told, await client.until_closed()]
        told.append(await client.next())
        await proxy.settled()
        for again in (asked(name), request(CALM), asked(name, key=b"sk-2")):
            told.append(await client.ask(again))
            await proxy.settled()
        return told

    return script


@pytest.mark.parametrize("name", GOES_ON)
async def test_what_goes_on(name: str, lanes: tuple[Lanes, Scripted], passed_on: list[int]) -> None:
    both, upstream = lanes
    upstream.pieces = {name.encode(): GOES_ON[name]}
    seen = await both.both(script_of(name, ends=False))
    assert len(seen.told) == 5
    if name in ("chunks", "a length", "a few bytes each", "an end apart", "trailers", "not at its end"):
        assert passed_on


@pytest.mark.parametrize("name", ENDS)
async def test_what_ends(name: str, lanes: tuple[Lanes, Scripted]) -> None:
    both, upstream = lanes
    upstream.pieces = {name.encode(): [*ENDS[name], CUT]}
    await both.both(script_of(name, ends=True))


@pytest.mark.parametrize("seed", range(4))
async def test_a_stream_that_is_cut_anywhere(seed: int, lanes: tuple[Lanes, Scripted], passed_on: list[int]) -> None:
    both, upstream = lanes
    rng, text = random.Random(seed), CHUNKED + CHUNKS
    cuts = sorted(rng.sample(range(1, len(text)), 25))
    name = f"seed {seed}"
    upstream.pieces = {name.encode(): [text[start:end] for start, end in itertools.pairwise([0, *cuts, len(text)])]}
    seen = await both.both(script_of(name, ends=False))
    assert b"word 39" in seen.told[1]
    assert sum(b"x-cache: HIT" in text for text in seen.told) >= 2
    assert passed_on


@pytest.mark.parametrize("how", ["tls", "tcp", "reset"])
async def test_a_client_that_leaves_within_a_stream(how: str, lanes: tuple[Lanes, Scripted]) -> None:
    both, upstream = lanes
    upstream.pieces = {how.encode(): [CHUNKED, CHUNKS[:900], WAIT, *cut(CHUNKS[900:], 300)]}

    async def script(client: Any, proxy: Live) -> list[bytes]:
        upstream.go_on.clear()
        told = [await client.ask(request(CALM))]
        await proxy.settled()
        client.send(asked(how))
        await client._messages._until(b"word 5 ")
        if how == "tls":
            client.end()
        elif how == "tcp":
            client.writer.write_eof()
        else:
            client.writer.transport.abort()
        runtime = proxy.askonce.runtime
        await until_so(lambda: how == "tcp" or not runtime.accounting.in_flight)
        upstream.go_on.set()
        await proxy.settled()
        return told

    await both.both(script)


async def test_two_who_ask_the_same_and_one_who_leads(lanes: tuple[Lanes, Scripted], passed_on: list[int]) -> None:
    """The one who leads leaves in the middle, and the other has all of it."""
    both, upstream = lanes
    upstream.pieces = {b"in flight": [CHUNKED, CHUNKS[:900], WAIT, *cut(CHUNKS[900:], 300)]}

    async def script(client: Any, proxy: Live) -> list[bytes]:
        upstream.go_on.clear()
        told = [await client.ask(request(CALM))]
        await proxy.settled()
        async with proxy.tunnel(HOST) as leader:
            leader.send(asked("in flight"))
            await leader._messages._until(b"word 5 ")
            client.send(asked("in flight"))
            await client._messages._until(b"word 5 ")
            leader.writer.transport.abort()
        await until_so(lambda: sum(one.client.connected for one in _handlers()) == 1)
        upstream.go_on.set()
        told.append(await client._messages._until(b"[DONE]"))
        await proxy.settled()
        return told

    seen = await both.both(script)
    assert len(seen.asked) == 2
    assert b"word 39" in seen.told[1]


async def test_what_a_client_does_not_read_is_not_read_from_the_provider(
    lanes: tuple[Lanes, Scripted], passed_on: list[int]
) -> None:
    both, upstream = lanes
    piece = b"9c40\r\n" + b"x" * 40_000 + b"\r\n"
    upstream.pieces = {b"at length": [CHUNKED, *[piece] * 1000, b"0\r\n\r\n"]}

    async def script(client: Any, proxy: Live) -> list[bytes]:
        told = [await client.ask(request(CALM))]
        await proxy.settled()
        upstream.sent = 0
        client.send(asked("what is at length"))

        async def stands_still() -> bool:
            before = upstream.sent
            await asyncio.sleep(0.5)
            return before == upstream.sent > 0

        while not await stands_still():
            pass
        (io,) = [io for one in _handlers() for at, io in one.transports.items() if at is one.client]
        assert 0 < io.writer.transport.get_write_buffer_size() < 1 << 20
        assert upstream.sent < 1000 * len(piece)
        read, last = 0, b""
        async for text in client._texts():
            read, last = read + text.count(b"x"), last[-4:] + text
            if last.endswith(b"\r\n0\r\n\r\n"):
                break
        await proxy.settled()
        return [*told, b"%d" % read]

    seen = await both.both(script)
    assert int(seen.told[1]) >= 40_000_000
    assert passed_on


def _handlers() -> list[Any]:
    return list(ctx.master.addons.get("proxyserver").connections.values())
