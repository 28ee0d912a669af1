"""Identical streamed calls at once: one call to the provider, and everybody hears the answer while it is given.

The first test also notices where mitmproxy's insides are no longer what `askonce.proxy.relay_stream` takes them for.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
from collections.abc import AsyncIterator, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h2.config
import h2.connection
import h2.events
import httpx
import pytest
from tests.support.waiting import PATIENCE, until, until_so

if TYPE_CHECKING:
    from tests.e2e.conftest import Provider, Proxy, StartProxy

HOST = "api.openai.com"
URL = f"https://{HOST}/v1/chat/completions"
EVENTS = {"content-type": "text/event-stream"}
WORDS = [f"word{number} " for number in range(8)]


def chunk(text: str | None, finish: str | None = None) -> str:
    delta = {} if text is None else {"role": "assistant", "content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    event = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(event)}\n\n"


STREAM = [*(chunk(word) for word in WORDS), chunk(None, "stop") + "data: [DONE]\n\n"]
QUESTION: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Count."}]}


UNSCRIPTED = "The sample model has no better answer to “Count.” than this sentence."


def play(provider: Provider, *chunks: str, **more: Any) -> None:
    """The provider's next answer; each chunk waits until it is released."""
    provider.script(*chunks or STREAM, headers=more.pop("headers", EVENTS), held=True, **more)


def first(count: int) -> str:
    """The stream's first chunks."""
    return "".join(STREAM[:count])


@dataclass
class Heard:
    """What one caller got, so far."""

    status: int = 0
    cache_status: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    parts: list[bytes] = field(default_factory=list)
    is_cut: bool = False

    @property
    def body(self) -> str:
        return b"".join(self.parts).decode()

    @property
    def is_collapsed(self) -> bool:
        return self.cache_status == "askonce; fwd=miss; collapsed"


@dataclass(eq=False)
class Caller:
    """One who asks; what it heard can be seen meanwhile, and awaited."""

    heard: Heard
    task: asyncio.Task[None]

    def __await__(self) -> Generator[Any, None, Heard]:
        yield from self.task.__await__()
        return self.heard


@dataclass
class Crowd:
    """Callers with one credential and one question, each on a connection of its own."""

    proxy: Proxy
    provider: Provider
    trusting: ssl.SSLContext
    key: str

    def __post_init__(self) -> None:
        self._before = self.proxy.get("/v1/stats")
        self._released = 0

    def stored(self) -> int:
        """How many answers were kept, once all calls are over."""
        self.proxy.settle()
        return int(self.proxy.get("/v1/stats")["stored"] - self._before["stored"])

    def ask(self, **more: Any) -> Caller:
        heard = Heard()
        return Caller(heard, asyncio.ensure_future(self._ask(heard, **more)))

    async def _ask(self, heard: Heard, stop_after: int = 0, stream: bool = True, **headers: str) -> None:
        """Call, and go away after so many chunks of the answer."""
        headers = {"authorization": f"Bearer {self.key}", "accept-encoding": "identity", **headers}
        async with httpx.AsyncClient(
            proxy=self.proxy.url, verify=self.trusting, headers=headers, timeout=PATIENCE, trust_env=False
        ) as client:
            try:
                async with client.stream("POST", URL, json=QUESTION | {"stream": stream}) as response:
                    heard.status, heard.headers = response.status_code, dict(response.headers)
                    heard.cache_status = response.headers["cache-status"]
                    async for part in response.aiter_raw():
                        heard.parts.append(part)
                        if stop_after and len(heard.body) >= len(first(stop_after)):
                            break
            except httpx.RemoteProtocolError:
                heard.is_cut = True

    async def lead(self, **more: Any) -> Caller:
        """The first caller, whose question is now with the provider."""
        before = await asyncio.to_thread(self.provider.calls)
        leader = self.ask(**more)
        await asyncio.to_thread(until, lambda: self.provider.calls() > before)
        return leader

    def follow(self, count: int, **more: Any) -> list[Caller]:
        return [self.ask(**more) for _ in range(count)]

    async def hear(self, *callers: Caller, chunks: int) -> None:
        """Have the provider go on until it has sent so many chunks, and all have heard them."""
        self.provider.release(chunks - self._released)
        self._released = chunks
        await until_so(lambda: all(len(caller.heard.body) >= len(first(chunks)) for caller in callers))

    async def end(self, *callers: Caller) -> list[Heard]:
        """Have the provider end its answer; what each has heard."""
        self.provider.release(1000)
        return await asyncio.gather(*callers)


@pytest.fixture(scope="module")
def trusting(_proxy: Proxy) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(_proxy.bundle))


@pytest.fixture
def crowd(proxy: Proxy, provider: Provider, trusting: ssl.SSLContext, api_key: str) -> Iterator[Crowd]:
    crowd = Crowd(proxy, provider, trusting, api_key)
    yield crowd
    crowd.stored()  # nothing of this test is counted in the next one


async def test_followers_hear_the_answer_while_it_is_given(crowd: Crowd, provider: Provider) -> None:
    play(provider)
    leader = await crowd.lead()
    await crowd.hear(leader, chunks=2)
    followers = crowd.follow(5)
    for chunks in range(2, len(STREAM)):  # what had come before, at once; then all that comes, as it comes
        await crowd.hear(leader, *followers, chunks=chunks)
        assert {caller.heard.body for caller in (leader, *followers)} == {first(chunks)}
    led, *answers = await crowd.end(leader, *followers)
    assert led.cache_status == "askonce; fwd=miss; stored"
    assert led.body == "".join(STREAM)
    for heard in answers:
        assert (heard.status, heard.is_collapsed, heard.is_cut) == (200, True, False)
        assert heard.headers["content-type"] == EVENTS["content-type"]
        assert heard.body == led.body
    assert provider.calls() == 1
    assert crowd.stored() == 1
    assert (await crowd.ask()).cache_status.startswith("askonce; hit")


async def test_fifty_callers_at_once_hear_one_stream(crowd: Crowd, provider: Provider) -> None:
    play(provider)
    callers = crowd.follow(50)
    for chunks in (1, 2, 5):
        await crowd.hear(*callers, chunks=chunks)
    answers = await crowd.end(*callers)
    assert {heard.body for heard in answers} == {"".join(STREAM)}
    assert sum(heard.is_collapsed for heard in answers) == 49
    assert provider.calls() == 1
    assert crowd.stored() == 1


async def test_who_is_left_hears_the_whole_answer_and_it_is_kept(crowd: Crowd, provider: Provider) -> None:
    play(provider)
    leader = await crowd.lead(stop_after=3)
    followers = crowd.follow(3)
    await crowd.hear(leader, *followers, chunks=1)
    await crowd.hear(leader, chunks=3)
    assert (await leader).body == first(3)
    for heard in await crowd.end(*followers):
        assert (heard.body, heard.is_collapsed) == ("".join(STREAM), True)
    assert (provider.calls(), provider.stats()["left"]) == (1, 0)
    assert crowd.stored() == 1


async def test_a_follower_that_leaves_disturbs_nobody(crowd: Crowd, provider: Provider) -> None:
    play(provider)
    leader = await crowd.lead()
    leaving, staying = crowd.follow(2, stop_after=3), crowd.follow(2)
    await crowd.hear(leader, *leaving, *staying, chunks=1)
    await crowd.hear(leader, chunks=3)
    assert [(await caller).body for caller in leaving] == [first(3)] * 2
    assert {heard.body for heard in await crowd.end(leader, *staying)} == {"".join(STREAM)}
    assert provider.calls() == 1
    assert crowd.stored() == 1


async def test_when_all_have_left_the_provider_is_told(crowd: Crowd, provider: Provider) -> None:
    play(provider)
    leader = await crowd.lead(stop_after=3)
    followers = crowd.follow(2, stop_after=3)
    await crowd.hear(leader, *followers, chunks=1)
    await crowd.hear(chunks=3)
    await asyncio.gather(leader, *followers)
    await asyncio.to_thread(until, lambda: provider.stats()["left"] == 1)
    assert crowd.stored() == 0
    assert (await crowd.ask()).cache_status == "askonce; fwd=miss; stored"
    assert provider.calls() == 2


async def test_all_see_it_when_the_provider_breaks_off(crowd: Crowd, provider: Provider) -> None:
    play(provider, *STREAM[:5], abort=True)
    leader = await crowd.lead()
    followers = crowd.follow(3)
    await crowd.hear(leader, *followers, chunks=1)
    answers = await crowd.end(leader, *followers)
    assert all(heard.is_cut for heard in answers)
    assert [heard.body for heard in answers] == [first(5)] * 4
    assert provider.calls() == 1
    assert crowd.stored() == 0


async def test_who_is_left_sees_it_when_the_provider_breaks_off(crowd: Crowd, provider: Provider) -> None:
    play(provider, *STREAM[:5], abort=True)
    leader = await crowd.lead(stop_after=2)
    (follower,) = crowd.follow(1)
    await crowd.hear(leader, follower, chunks=1)
    await crowd.hear(leader, chunks=2)
    await leader
    (heard,) = await crowd.end(follower)
    assert (heard.is_cut, heard.body) == (True, first(5))
    assert crowd.stored() == 0


@pytest.mark.parametrize("status", [429, 500])
async def test_an_error_is_for_everybody_to_see(crowd: Crowd, provider: Provider, status: int) -> None:
    for _ in range(4):
        play(provider, '{"error": {"message": "no"}}', status=status, headers={"content-type": "application/json"})
    leader = await crowd.lead()
    followers = crowd.follow(3)
    await asyncio.to_thread(crowd.proxy.until_in_flight, 4)
    answers = await crowd.end(leader, *followers)
    assert [heard.status for heard in answers] == [status] * 4
    assert provider.calls() == 4


async def test_who_wants_it_otherwise_waits_for_the_end(crowd: Crowd, provider: Provider) -> None:
    play(provider, content_encoding="gzip")
    leader = await crowd.lead(**{"accept-encoding": "gzip"})
    as_json, plain = *crowd.follow(1, stream=False), *crowd.follow(1)
    (encoded,) = crowd.follow(1, **{"accept-encoding": "br;q=0.5, *"})
    (new,) = crowd.follow(1, **{"accept-encoding": "gzip", "cache-control": "max-age=0"})
    provider.release(1)
    await until_so(lambda: encoded.heard.parts)
    await asyncio.to_thread(crowd.proxy.until_in_flight, 5)
    led, coded, json_, text, anew = await crowd.end(leader, encoded, as_json, plain, new)
    assert coded.is_collapsed
    assert coded.headers["content-encoding"] == led.headers["content-encoding"] == "gzip"
    assert b"".join(coded.parts) == b"".join(led.parts)
    assert json_.cache_status.startswith("askonce; hit")
    # What `new` asked for may be kept before the others look, and is then the answer.
    assert json.loads(json_.body)["choices"][0]["message"]["content"] in ("".join(WORDS), UNSCRIPTED)
    assert text.cache_status.startswith("askonce; hit")
    assert anew.cache_status == "askonce; fwd=miss; stored"
    assert provider.calls() == 2


OTHER_STREAMS = """
from mitmproxy.proxy import events
from mitmproxy.proxy.layers import http

theirs = http.HttpStream

def make_stream(self, stream_id):
    self.streams[stream_id] = theirs(self.context.fork(), stream_id)
    yield from self.event_to_child(self.streams[stream_id], events.Start())

http.HttpLayer.make_stream = make_stream
"""


async def test_where_mitmproxy_makes_other_streams_everybody_asks(
    start_proxy: StartProxy, provider: Provider, tmp_path: Path, api_key: str
) -> None:
    route = Path(__file__).parent / "route"
    (tmp_path / "sitecustomize.py").write_text((route / "sitecustomize.py").read_text() + OTHER_STREAMS)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    proxy = start_proxy(environment={"PYTHONPATH": path})
    crowd = Crowd(proxy, provider, ssl.create_default_context(cafile=str(proxy.bundle)), api_key)
    for _ in range(3):
        play(provider)
    callers = crowd.follow(3)
    await asyncio.to_thread(until, lambda: provider.calls() == 3)
    answers = await crowd.end(*callers)
    assert {heard.body for heard in answers} == {"".join(STREAM)}
    assert {heard.cache_status for heard in answers} == {"askonce; fwd=miss; stored"}
    assert provider.calls() == 3
    assert crowd.stored() == 3


class Http2:
    """A client that speaks HTTP/2 through the proxy; httpx would rather speak HTTP/1.1 there."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, crowd: Crowd) -> None:
        self._reader, self._writer, self._crowd = reader, writer, crowd
        self._connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self._connection.initiate_connection()

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(cls, crowd: Crowd) -> AsyncIterator[Http2]:
        context = ssl.create_default_context(cafile=str(crowd.proxy.bundle))
        context.set_alpn_protocols(["h2"])
        reader, writer = await asyncio.open_connection("127.0.0.1", crowd.proxy.port)
        writer.write(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n".encode())
        assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
        await writer.start_tls(context, server_hostname=HOST)
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        try:
            yield cls(reader, writer, crowd)
        finally:
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                await writer.wait_closed()

    async def ask(self) -> int:
        """Send the question; the number of its stream."""
        stream = self._connection.get_next_available_stream_id()
        body = json.dumps(QUESTION | {"stream": True}).encode()
        pseudo = [(":method", "POST"), (":scheme", "https"), (":authority", HOST), (":path", "/v1/chat/completions")]
        fields = [("authorization", f"Bearer {self._crowd.key}"), ("content-length", str(len(body)))]
        self._connection.send_headers(stream, [*pseudo, *fields])
        self._connection.send_data(stream, body, end_stream=True)
        await self._send()
        return stream

    async def reset(self, stream: int) -> None:
        """Ask for no more of a stream; others go on."""
        self._connection.reset_stream(stream, error_code=8)  # CANCEL
        await self._send()

    async def events(self) -> AsyncIterator[h2.events.Event]:
        while data := await self._reader.read(65536):
            for event in self._connection.receive_data(data):
                if isinstance(event, h2.events.DataReceived):
                    self._connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                yield event
            await self._send()

    async def hear(self, stream: int) -> Heard:
        """A stream to its end."""
        heard = Heard()
        async for event in self.events():
            if getattr(event, "stream_id", None) != stream:
                continue
            match event:
                case h2.events.ResponseReceived():
                    heard.headers = {str(name): str(value) for name, value in event.headers}
                    heard.cache_status = heard.headers["cache-status"]
                case h2.events.DataReceived():
                    heard.parts.append(event.data)
                case h2.events.StreamReset():
                    heard.is_cut = True
                    return heard
                case h2.events.StreamEnded():
                    return heard
        raise AssertionError("the connection was closed")

    async def _send(self) -> None:
        self._writer.write(self._connection.data_to_send())
        await self._writer.drain()


async def test_an_http2_leader_resets_its_stream(crowd: Crowd, provider: Provider) -> None:
    play(provider)
    provider.release(1)
    async with Http2.connect(crowd) as client:
        stream = await client.ask()
        async for event in client.events():
            if isinstance(event, h2.events.DataReceived):
                break
        followers = crowd.follow(2)
        await until_so(lambda: all(caller.heard.parts for caller in followers))
        await client.reset(stream)
        for heard in await crowd.end(*followers):
            assert (heard.body, heard.is_collapsed) == ("".join(STREAM), True)
        assert crowd.stored() == 1
        again = await client.hear(await client.ask())  # the connection still serves
        assert again.cache_status.startswith("askonce; hit")
    assert provider.calls() == 1


async def test_when_all_http2_streams_are_reset_the_provider_is_told(crowd: Crowd, provider: Provider) -> None:
    play(provider)
    provider.release(1)
    async with Http2.connect(crowd) as client:
        one = await client.ask()
        await asyncio.to_thread(until, provider.calls)  # it leads
        other = await client.ask()
        heard = dict.fromkeys((one, other), "")
        async for event in client.events():
            if isinstance(event, h2.events.DataReceived):
                heard[event.stream_id] += event.data.decode()
                if all(text == first(1) for text in heard.values()):
                    await client.reset(one)
                    provider.release(1)
                if heard[other] == first(2):
                    await client.reset(other)
                    break
        await asyncio.to_thread(until, lambda: provider.stats()["left"] == 1)  # though it says no more
        assert crowd.stored() == 0
    assert provider.calls() == 1


async def test_when_an_http2_stream_is_reset_before_an_answer_the_provider_is_told(
    crowd: Crowd, provider: Provider
) -> None:
    play(provider)
    async with Http2.connect(crowd) as client:
        stream = await client.ask()
        await asyncio.to_thread(until, provider.calls)
        await client.reset(stream)
        await asyncio.to_thread(until, lambda: provider.stats()["left"] == 1)
        await asyncio.to_thread(crowd.proxy.settle)
    assert provider.calls() == 1


async def test_an_http2_client_follows_itself(crowd: Crowd, provider: Provider) -> None:
    play(provider)
    provider.release(1)
    streams = dict[int, Heard]()
    async with Http2.connect(crowd) as client:
        unended = {await client.ask(), await client.ask()}
        async for event in client.events():
            match event:
                case h2.events.ResponseReceived(stream_id=int(stream)):
                    fields = {str(name): str(value) for name, value in event.headers}
                    assert "transfer-encoding" not in fields
                    streams[stream] = Heard(cache_status=fields["cache-status"])
                case h2.events.DataReceived(stream_id=int(stream)):
                    streams[stream].parts.append(event.data)
                    if len(streams) == 2 and all(heard.parts for heard in streams.values()):
                        provider.release(len(STREAM))
                case h2.events.StreamEnded(stream_id=int(stream)):
                    unended.remove(stream)
            if not unended:
                break
    assert [heard.body for heard in streams.values()] == ["".join(STREAM)] * 2
    assert sum(heard.is_collapsed for heard in streams.values()) == 1
    assert provider.calls() == 1
