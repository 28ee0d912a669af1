"""Both lanes answer alike: each request goes to a proxy with the fast lane and to one without it, and what clients and
provider get, and what is kept, is the same but for ids and times."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from tests.support.live import Live, Provider, live, provider
from tests.support.waiting import until_so

from askonce.calls.held_bodies import held_bodies
from askonce.calls.limits import SMALL
from askonce.proxy import fast_lane
from askonce.proxy.patience import Waiting, stands

pytestmark = pytest.mark.asyncio(loop_scope="module")

LANDS = ("Italy", "Peru", "Ghana")
HOST, OWN = "api.openai.com", "localhost"
PATH = b"/v1/chat/completions"
RULES = """\
version: 1
defaults: {{audit: 0}}
cache: {{lookup_deadline: 300s}}
upstreams:
  - {{name: chat, hosts: [api.openai.com], paths: [/v1/chat/completions], wire: openai-chat, upstream: "{upstream}"}}
  - {{name: other, hosts: [api.example.com], paths: ["/**"], wire: openai-chat, match: exact, upstream: "{upstream}"}}
"""
_VARIES = re.compile(
    rb'(?<="id":")[^"]+|(?<=req_)[0-9a-f]{24,32}|(?<="created":)\d+|(?<=age: )\d+|(?<=ttl=)\d+'
    rb'|(?<="timestamp":")[^"]+'
    rb"|(?<=1\.1 askonce-)[0-9a-f]+|(?<=127.0.0.1:)\d+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)
"""What is each reply's own: ids, times, our name in `Via`, ports."""

type Script = Callable[[Any, Live], Awaitable[list[bytes]]]
"""What a client does, and what he is told."""


def request(
    question: str = "What is the capital of France?",
    *fields: bytes,
    key: bytes = b"sk-1",
    path: bytes = PATH,
    line: bytes = b"",
    body: bytes | None = None,
    chunks: int = 0,
    host: str = HOST,
    **more: object,
) -> bytes:
    """A request; with `chunks`, its body comes in so many."""
    asked = {"model": "gpt", "messages": [{"role": "user", "content": question}], **more}
    body = json.dumps(asked).encode() if body is None else body
    length = b"transfer-encoding: chunked" if chunks else b"content-length: %d" % len(body)
    heads = (b"host: " + host.encode(), b"authorization: Bearer " + key, b"content-type: application/json", *fields)
    head = b"\r\n".join((line or b"POST %s HTTP/1.1" % path, *heads, length))
    return head + b"\r\n\r\n" + (chunked(body, chunks) if chunks else body)


def chunked(body: bytes, chunks: int, end: bytes = b"0\r\n\r\n") -> bytes:
    size = -(-len(body) // chunks)
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + end


def answer(asked: bytes) -> bytes:
    """What the provider says: whole or as a stream, and an error to who asks for one."""
    if b"an error" in asked:
        return b"HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    if b'"stream": true' in asked:
        delta = {"index": 0, "delta": {"role": "assistant", "content": "Paris."}, "finish_reason": "stop"}
        event = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt", "choices": [delta]}
        body = b"data: %s\n\ndata: [DONE]\n\n" % json.dumps(event, separators=(",", ":")).encode()
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        return head + chunked(body, 3)
    text = "x" * 50_000 if b"at length" in asked else "Paris."
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    whole = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt", "choices": [choice]}
    body = json.dumps(whole, separators=(",", ":")).encode()
    said = b"content-type: application/json\r\nx-request-id: 1\r\ncontent-length: %d" % len(body)
    return b"HTTP/1.1 200 OK\r\n%s\r\n\r\n%s" % (said, body)


@dataclass
class Seen:
    """What came of a script, on one lane."""

    told: list[bytes] = field(default_factory=list)
    asked: list[bytes] = field(default_factory=list)
    kept: list[tuple[str, str, bytes]] = field(default_factory=list)
    counted: Counter[tuple[object, ...]] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    answered: int = 0


@dataclass
class Lanes:
    """A proxy with the fast lane, and one without it."""

    upstream: Provider
    fast: Live
    other: Live

    async def both(self, script: Script, host: str = HOST) -> Seen:
        """What came of it on the fast lane, which is what came of it on the other."""
        fast, other = await self.see(script, self.fast, host), await self.see(script, self.other, host)
        assert other.answered == 0
        for one, another in zip([*fast.told, *fast.asked], [*other.told, *other.asked], strict=True):
            assert one == another
        assert (fast.kept, fast.counted, fast.faults) == (other.kept, other.counted, other.faults)
        return fast

    async def see(self, script: Script, proxy: Live, host: str = HOST) -> Seen:
        """What comes of it in an empty cache."""
        proxy.use()
        runtime = proxy.askonce.runtime
        await runtime.cache.clear()
        self.upstream.requests.clear()
        held = set(held_bodies._by_call)  # by other tests, whose calls never end
        answered, last, faults = proxy.answered, runtime.accounting.recorded, Counter(runtime.accounting.faults())
        async with proxy.client() if host == OWN else proxy.tunnel(host) as client:
            told = await script(client, proxy)
        await until_so(lambda: not runtime.strays.connections)
        await proxy.settled()
        await until_so(lambda: held_bodies._by_call.keys() <= held)
        assert not fast_lane._lanes
        calls = [call for _, _, call in runtime.accounting.after(last, 1000)]
        return Seen(
            [_VARIES.sub(b"~", text) for text in told],
            [_VARIES.sub(b"~", text) for text in self.upstream.requests],
            sorted([(one.key, one.prompt, one.answer.body) for one in await runtime.cache.list(limit=1000)]),
            Counter([(call.outcome, call.detail, call.status, call.key, call.forwarded) for call in calls]),
            Counter(runtime.accounting.faults()) - faults,
            proxy.answered - answered,
        )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lanes(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lanes]:
    folder = tmp_path_factory.mktemp("lanes")
    async with provider(answer) as upstream:
        rules = RULES.format(upstream=f"http://127.0.0.1:{upstream.port}")
        async with live(folder / "fast", rules) as fast, live(folder / "other", rules, lane=False) as other:
            yield Lanes(upstream, fast, other)


def asking(*requests: bytes) -> Script:
    """Each request once the one before is answered."""

    async def script(client: Any, proxy: Live) -> list[bytes]:
        told = []
        for one in requests:
            try:
                told.append(await client.ask(one))
            except (EOFError, OSError):  # nobody is there to be asked what no rule names
                return [*told, b"closed"]
            await proxy.settled()
        return told

    return script


REWORDED = "Tell me what the capital of France is."


async def test_the_same_call_again_a_rewording_and_another(lanes: Lanes) -> None:
    seen = await lanes.both(
        asking(
            request(),
            request(),
            request(REWORDED),
            request(key=b"sk-2"),
            request("What is the capital of Spain?"),
            request(stream=True),
            request(),
        ),
    )
    assert seen.answered == 4
    assert [b"x-cache: HIT" in text for text in seen.told] == [False, True, True, False, False, True, True]


@pytest.mark.parametrize(
    "again",
    [
        request(chunks=3),
        request(host="API.OpenAI.com:443"),
        request("What is the capital of France?", b"connection: keep-alive"),
        request("What is the capital of France?", b"cache-control: no-cache"),
        request("What is the capital of France?", b"cache-control: no-store"),
        request("What is the capital of France?", b"cache-control: only-if-cached"),
        request("What is the capital of Spain?", b"cache-control: only-if-cached"),
        request("What is the capital of France?", b"te: trailers", b"trailer: x"),
        request("What is the capital of France?", b"content-encoding: identity"),
        request("What is the capital of France?", b"traceparent: 00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"),
        request(path=PATH + b"?a=b"),
        request(path=b"/v1/models"),
        request(line=b"GET /v1/models HTTP/1.1", body=b""),
        request(line=b"OPTIONS %s HTTP/1.1" % PATH, body=b""),
        request(line=b"POST https://api.openai.com%s HTTP/1.1" % PATH),
        request(body=b"{}"),
        request(body=b""),
        request(body=b"not JSON"),
        request("What is the capital of France?", b"x-note: " + b"x" * 3000),
        request("an error"),
        request(host="api.example.com"),
        request("x" * (SMALL - 100)),
        request("x" * (SMALL + 100)),
    ],
    ids=lambda again: again[:40].decode() + f"… {len(again)} bytes",
)
async def test_one_of_another_kind_and_then_the_same_again(again: bytes, lanes: Lanes) -> None:
    seen = await lanes.both(asking(request(), request(), again, request(), again, request()))
    assert seen.answered >= 1


async def test_a_client_that_asks_for_100_continue_hears_it_first(lanes: Lanes) -> None:
    asked = request("What is the capital of France?", b"expect: 100-continue")

    async def script(client: Any, proxy: Live) -> list[bytes]:
        told = [await client.ask(request())]
        await proxy.settled()
        head, _, body = asked.partition(b"\r\n\r\n")
        told.append(await client.ask(head + b"\r\n\r\n"))
        return [*told, await client.ask(body), await client.ask(request())]

    seen = await lanes.both(script)
    assert seen.told[1].startswith(b"HTTP/1.1 100 ")
    assert seen.answered == 1


@pytest.mark.parametrize("chunks", [0, 1, 5])
@pytest.mark.parametrize("seed", range(3))
async def test_requests_cut_anywhere(chunks: int, seed: int, lanes: Lanes) -> None:
    def script_of(rng: random.Random) -> Script:
        async def script(client: Any, proxy: Live) -> list[bytes]:
            told = [await client.ask(request())]
            await proxy.settled()
            for _ in range(12):
                text = request(rng.choice(("What is the capital of France?", REWORDED)), chunks=chunks)
                cuts = sorted(rng.sample(range(1, len(text)), rng.randrange(5)))
                for start, end in itertools.pairwise([0, *cuts, len(text)]):
                    sealed = client.sealed(text[start:end])
                    at = rng.randrange(len(sealed))
                    for piece in (sealed[:at], sealed[at:]):  # a record of TLS in two
                        client.writer.write(piece)
                        await asyncio.sleep(0.001 * rng.randrange(2))
                told.append(await client.next())
                await proxy.settled()
            return told

        return script

    for proxy in (lanes.fast, lanes.other):
        seen = await lanes.see(script_of(random.Random(seed)), proxy)
        assert len(seen.asked) == 1
        assert all(b"Paris." in text for text in seen.told)
        assert seen.answered == (12 if proxy is lanes.fast else 0)


async def test_a_request_by_the_byte(lanes: Lanes) -> None:
    async def script(client: Any, proxy: Live) -> list[bytes]:
        told = [await client.ask(request())]
        await proxy.settled()
        for text in (request(), request(chunks=4)):
            for byte in text:
                client.send(bytes([byte]))
                await client.writer.drain()
                await asyncio.sleep(0)
            told.append(await client.next())
        return told

    assert (await lanes.both(script)).answered == 2


async def test_requests_behind_one_another(lanes: Lanes) -> None:
    async def script(client: Any, proxy: Live) -> list[bytes]:
        told = [await client.ask(request())]
        await proxy.settled()
        other = request("What is the capital of Spain?")
        client.send(request() * 2 + other + request())
        told += [await client.next() for _ in range(4)]
        await proxy.settled()
        half = len(other) // 2
        client.send(request() + other[:half])
        told.append(await client.next())
        client.send(other[half:] + request())
        told += [await client.next() for _ in range(2)]
        return [*told, await client.ask(request())]

    assert (await lanes.both(script)).answered == 1


async def test_a_trailer_is_left_out_and_ends_nothing(lanes: Lanes) -> None:
    head = request(body=b"").replace(b"content-length: 0", b"transfer-encoding: chunked")
    body = request().partition(b"\r\n\r\n")[2]
    trailed = head + chunked(body, 2, b"0\r\nx-sum: 1\r\n\r\n")
    seen = await lanes.both(asking(request(), request(), trailed, request(), trailed))
    assert seen.answered == 2


@pytest.mark.parametrize(
    "wrong",
    [
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\nab",
        b"POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        b"POST / HTTP/1.1\r\n: x\r\n\r\n",
        b"POST / HTTP/9\r\n\r\n",
        b"POST / HTTP/1.1\n\n",
        b"\x00\x01\x02\r\n\r\n",
        b"CONNECT api.openai.com:443 HTTP/1.1\r\n\r\n",
        b"POST /x HTTP/1.1\r\nx: " + b"y" * (66 << 10) + b"\r\n\r\n",
        request("What is the capital of France?", b"connection: close"),
        request(line=b"POST %s HTTP/1.0" % PATH),
    ],
    ids=lambda wrong: repr(wrong[:60]),
)
async def test_what_ends_a_connection(wrong: bytes, lanes: Lanes) -> None:
    async def script(client: Any, proxy: Live) -> list[bytes]:
        told = [await client.ask(request())]
        await proxy.settled()
        told.append(await client.ask(request()))
        client.send(wrong)
        return [*told, await client.until_closed()]

    assert (await lanes.both(script)).answered == 1


@pytest.mark.parametrize("how", ["tls", "tcp", "reset"])
@pytest.mark.parametrize("part", [0.0, 0.2, 0.9, 1.0])
async def test_a_client_that_leaves(how: str, part: float, lanes: Lanes) -> None:
    """After a part of its request, by TLS's own end, by the socket's half, or at once."""

    async def script(client: Any, proxy: Live) -> list[bytes]:
        told = [await client.ask(request())]
        await proxy.settled()
        text = request()
        if part:
            client.send(text[: int(len(text) * part)])
        if how == "reset":
            client.writer.transport.abort()
            return told
        if how == "tls":
            client.end()
        else:
            client.writer.write_eof()
        return [*told, await client.until_closed()]

    if part == 1.0 and how != "tls":  # whether it was answered before it was seen to leave is a race, on both
        for proxy in (lanes.fast, lanes.other):
            seen = await lanes.see(script, proxy)
            assert len(seen.asked) == 1
    else:
        await lanes.both(script)


async def test_a_client_that_does_not_read(lanes: Lanes) -> None:
    """Nothing is read from it before it has taken what it was sent, and it gets all of it."""
    calls = 200

    async def script(client: Any, proxy: Live) -> list[bytes]:
        asked = request("Tell me of it at length.")
        await client.ask(asked)
        await proxy.settled()
        for _ in range(calls):
            client.send(asked)
            await asyncio.sleep(0)
        server = [io.writer for one in _handlers() for io in one.transports.values()]
        sizes = [writer.transport.get_write_buffer_size() for writer in server if writer]
        assert 0 < max(sizes) < 1 << 20
        return [b"%d" % len(await client.next()) for _ in range(calls)]

    seen = await lanes.both(script)
    assert (len(seen.asked), len(seen.told), len(set(seen.told))) == (1, calls, 1)


def _handlers():  # type: ignore[no-untyped-def]
    from mitmproxy import ctx

    return ctx.master.addons.get("proxyserver").connections.values()


@pytest.mark.parametrize("ask", [request(), request(chunks=2)])
async def test_what_a_client_is_waited_for_is_the_same(ask: bytes, lanes: Lanes) -> None:
    async def script(client: Any, proxy: Live) -> list[bytes]:
        *_, handler = _handlers()  # the last: one before it may still be closing
        body, seen = ask.index(b"\r\n\r\n") + 4, list[Waiting | None]()
        await client.ask(request())
        for _ in range(2):
            await proxy.settled()
            seen.append(stands(handler))
            for start, end in itertools.pairwise((0, 5, body - 1, body, body + 9, len(ask) - 1)):
                client.send(ask[start:end])
                await asyncio.sleep(0.05)
                seen.append(stands(handler))
            await client.ask(ask[-1:])
        return [one.wait.encode() if one else b"" for one in seen]

    seen = await lanes.both(script)
    assert seen.told == [b"idle", *[b"header"] * 2, *[b"body"] * 3] * 2
    assert seen.answered == 2


async def test_many_connections_at_once(lanes: Lanes) -> None:
    async def script(_client: Any, proxy: Live) -> list[bytes]:
        async def client(number: int) -> list[bytes]:
            async with proxy.tunnel(HOST) as client:
                return [await client.ask(request(f"Name {number} towns in {LANDS[turn % 3]}.")) for turn in range(9)]

        return [text for told in await asyncio.gather(*map(client, range(8))) for text in told]

    fast, other = await lanes.see(script, lanes.fast), await lanes.see(script, lanes.other)
    assert set(fast.asked) == set(other.asked)
    assert len(fast.told) == len(other.told) == 72


async def test_a_fault_in_the_lane_is_told_and_the_call_goes_the_other_way(
    lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("askonce.proxy.messages.write", lambda _reply: 1 / 0)
    seen = await lanes.see(asking(request(), request(), request()), lanes.fast)
    assert (len(seen.asked), seen.faults, seen.answered) == (3, {"fast lane": 2}, 0)
    assert all(b"Paris." in text for text in seen.told)


# On our own port, as to a server and without TLS


def own(*arguments: Any, **more: Any) -> bytes:
    return request(*arguments, host=OWN, **more)


async def test_a_product_s_call_again_a_rewording_and_another(lanes: Lanes) -> None:
    seen = await lanes.both(
        asking(
            own(),
            own(),
            own(REWORDED),
            own(key=b"sk-2"),
            own("What is the capital of Spain?"),
            own(stream=True),
            own(path=b"/promptcache" + PATH),
            own(chunks=3),
        ),
        OWN,
    )
    assert [b"x-cache: HIT" in text for text in seen.told] == [False, True, True, False, False, True, True, True]
    assert (seen.answered, len(seen.asked)) == (5, 3)


@pytest.mark.parametrize(
    "again",
    [
        own("What is the capital of France?", b"connection: keep-alive"),
        own("What is the capital of France?", b"cache-control: no-cache"),
        own("What is the capital of Spain?", b"cache-control: only-if-cached"),
        own("What is the capital of France?", b"origin: https://elsewhere.example"),
        own("What is the capital of France?", b"origin: https://elsewhere.example", key=b""),
        own("What is the capital of France?", b"expect: x"),
        own("What is the capital of France?", b"content-encoding: identity"),
        own("What is the capital of France?", b"x-cache-namespace: a"),
        own("an error"),
        own(body=b"{}"),
        own(body=b""),
        own(path=b"/v1/responses"),
        own(path=b"/v1/nothing"),
        own(path=b"/v1/entries"),
        own(path=b"/gateway/v1/chat/completions"),
        own(path=b"/cachecore/v1/chat"),
        own(path=b"/langcache/v1/caches/a/entries/search", body=b'{"prompt": "x"}'),
        own(line=b"GET /v1/nothing HTTP/1.1", body=b""),
        own(line=b"POST http://localhost%s HTTP/1.1" % PATH),
        request(host="askonce.internal"),
        request(host="promptcache.askonce.internal"),
        request(host="localhost:1234"),
        request(host="elsewhere.example"),
        request(host="api.openai.com"),
        request(host="a b"),
        own("x" * (SMALL + 100)),
    ],
    ids=lambda again: repr(again[:30] + again[-30:]),
)
async def test_one_of_another_kind_to_our_own_port(again: bytes, lanes: Lanes) -> None:
    seen = await lanes.both(asking(own(), own(), own(), again, own(), again, own()), OWN)
    assert seen.answered >= 2


async def test_calls_to_our_own_port_behind_one_another_and_by_the_byte(lanes: Lanes) -> None:
    async def script(client: Any, proxy: Live) -> list[bytes]:
        told = [await client.ask(own())]
        await proxy.settled()
        client.send(own() * 2 + own("What is the capital of Spain?"))
        told += [await client.next() for _ in range(3)]
        await proxy.settled()
        for text in (own(), own(chunks=4)):
            for byte in text:
                client.send(bytes([byte]))
                await client.writer.drain()
                await asyncio.sleep(0)
            told.append(await client.next())
        return told

    assert (await lanes.both(script, OWN)).answered == 2


@pytest.mark.parametrize("part", [0.0, 0.2, 0.9])
async def test_a_client_of_our_own_port_that_leaves(part: float, lanes: Lanes) -> None:
    async def script(client: Any, proxy: Live) -> list[bytes]:
        told = [await client.ask(own()), await client.ask(own())]
        await proxy.settled()
        client.send(own()[: int(len(own()) * part)])
        client.end()
        return [*told, await client.until_closed()]

    await lanes.both(script, OWN)


async def test_a_tunnel_after_a_call_to_our_own_port(lanes: Lanes) -> None:
    async def script(client: Any, proxy: Live) -> list[bytes]:
        told = [await client.ask(own()), await client.ask(own())]
        client.send(b"CONNECT api.openai.com:443 HTTP/1.1\r\nhost: api.openai.com:443\r\n\r\n")
        told.append(await client.next())
        client.send(b"no TLS\r\n\r\n")
        client.end()
        return [*told, await client.until_closed()]

    await lanes.both(script, OWN)
