"""Identical streamed calls at once: one call to the provider, and everybody hears the answer while it is given.

The first test also notices where mitmproxy's insides are no longer what `askonce.proxy.relay_stream` takes them for.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h2.config
import h2.connection
import h2.events
import httpx
import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Provider, Proxy, StartProxy

HOST = "api.openai.com"
URL = f"https://{HOST}/v1/chat/completions"
EVENTS = {"content-type": "text/event-stream"}
WORDS = [f"word{number} " for number in range(8)]
PAUSE = 0.2
"""Seconds before each of the provider's chunks."""


def chunk(text: str | None, finish: str | None = None) -> str:
    delta = {} if text is None else {"role": "assistant", "content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    event = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(event)}\n\n"


STREAM = [*(chunk(word) for word in WORDS), chunk(None, "stop") + "data: [DONE]\n\n"]
QUESTION: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Count."}]}


def play(provider: Provider, *chunks: str, **more: Any) -> None:
    """The provider's next answer, slowly."""
    provider.script(*((PAUSE, one) for one in chunks or STREAM), headers=more.pop("headers", EVENTS), **more)


@dataclass
class Heard:
    """What one caller got, and when."""

    status: int = 0
    cache_status: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    parts: list[bytes] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)
    is_cut: bool = False

    @property
    def body(self) -> str:
        return b"".join(self.parts).decode()

    @property
    def is_collapsed(self) -> bool:
        return self.cache_status == "askonce; fwd=miss; collapsed"


@dataclass
class Crowd:
    """Callers with one credential and one question, each on a connection of its own."""

    proxy: Proxy
    provider: Provider
    trusting: ssl.SSLContext
    key: str

    def __post_init__(self) -> None:
        self._before = self.proxy.get("/v1/stats")

    def stored(self) -> int:
        """How many answers were kept, once all calls are over."""
        self.proxy.settle()
        return int(self.proxy.get("/v1/stats")["stored"] - self._before["stored"])

    async def ask(self, stop_after: int | None = None, stream: bool = True, **headers: str) -> Heard:
        """Call, and go away after so many parts of the answer."""
        heard = Heard()
        headers = {"authorization": f"Bearer {self.key}", "accept-encoding": "identity", **headers}
        async with httpx.AsyncClient(
            proxy=self.proxy.url, verify=self.trusting, headers=headers, timeout=20, trust_env=False
        ) as client:
            try:
                async with client.stream("POST", URL, json=QUESTION | {"stream": stream}) as response:
                    heard.status, heard.headers = response.status_code, dict(response.headers)
                    heard.cache_status = response.headers["cache-status"]
                    async for part in response.aiter_raw():
                        heard.parts.append(part)
                        heard.moments.append(time.monotonic())
                        if len(heard.parts) == stop_after:
                            break
            except httpx.RemoteProtocolError:
                heard.is_cut = True
        return heard

    async def lead(self, **more: Any) -> asyncio.Task[Heard]:
        """The first caller, whose question is now with the provider."""
        before = await asyncio.to_thread(self.provider.calls)
        leader = asyncio.ensure_future(self.ask(**more))
        await until(lambda: self.provider.calls() > before)
        return leader

    def follow(self, count: int, **more: Any) -> list[asyncio.Task[Heard]]:
        return [asyncio.ensure_future(self.ask(**more)) for _ in range(count)]


@pytest.fixture(scope="module")
def trusting(_proxy: Proxy) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(_proxy.bundle))


@pytest.fixture
def crowd(proxy: Proxy, provider: Provider, trusting: ssl.SSLContext, api_key: str) -> Iterator[Crowd]:
    crowd = Crowd(proxy, provider, trusting, api_key)
    yield crowd
    crowd.stored()  # nothing of this test is counted in the next one


async def until(is_so: Callable[[], bool]) -> None:
    """Ask again and again, in a thread, for five seconds."""

    def ask() -> None:
        deadline = time.monotonic() + 5
        while not is_so():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    await asyncio.to_thread(ask)


async def test_followers_hear_the_answer_while_it_is_given(crowd: Crowd, provider: Provider) -> None:
    play(provider)
    leader = await crowd.lead()
    await asyncio.sleep(2.5 * PAUSE)
    followers = crowd.follow(5)
    led = await leader
    assert led.cache_status == "askonce; fwd=miss; stored"
    assert led.body == "".join(STREAM)
    for heard in await asyncio.gather(*followers):
        assert (heard.status, heard.is_collapsed, heard.is_cut) == (200, True, False)
        assert heard.headers["content-type"] == EVENTS["content-type"]
        assert heard.body == led.body
        assert heard.parts[0].decode().startswith("".join(STREAM[:2]))  # what had come before, at once
        assert heard.moments[0] < led.moments[-1] - 3 * PAUSE
        for late, moment in zip(reversed(led.moments), reversed(heard.moments), strict=False):
            if moment != heard.moments[0]:
                assert abs(late - moment) < 0.1
    assert provider.calls() == 1
    assert crowd.stored() == 1
    assert (await crowd.ask()).cache_status.startswith("askonce; hit")


async def test_fifty_callers_at_once_hear_one_stream(crowd: Crowd, provider: Provider) -> None:
    provider.set(first_token=2.0, per_token=0.1)  # the time that fifty TLS handshakes take on a busy machine
    answers = await asyncio.gather(*crowd.follow(50))
    assert len({heard.body for heard in answers}) == 1
    assert answers[0].body.endswith("data: [DONE]\n\n")
    assert sum(heard.is_collapsed for heard in answers) == 49
    assert all(len(heard.parts) > 3 for heard in answers)
    assert provider.calls() == 1
    assert crowd.stored() == 1


async def test_who_is_left_hears_the_whole_answer_and_it_is_kept(crowd: Crowd, provider: Provider) -> None:
    play(provider)
    leader = await crowd.lead(stop_after=3)
    followers = crowd.follow(3)
    assert len((await leader).parts) == 3
    for heard in await asyncio.gather(*followers):
        assert (heard.body, heard.is_collapsed) == ("".join(STREAM), True)
    assert (provider.calls(), provider.stats()["left"]) == (1, 0)
    assert crowd.stored() == 1


async def test_a_follower_that_leaves_disturbs_nobody(crowd: Crowd, provider: Provider) -> None:
    play(provider)
    leader = await crowd.lead()
    leaving, staying = crowd.follow(2, stop_after=3), crowd.follow(2)
    answers = await asyncio.gather(leader, *staying)
    assert {heard.body for heard in answers} == {"".join(STREAM)}
    assert [len((await heard).parts) for heard in leaving] == [3, 3]
    assert provider.calls() == 1
    assert crowd.stored() == 1


async def test_when_all_have_left_the_provider_is_told(crowd: Crowd, provider: Provider) -> None:
    provider.script(*((PAUSE, one) for one in STREAM[:4]), (60, STREAM[4]), headers=EVENTS)
    leader = await crowd.lead(stop_after=2)
    await asyncio.gather(leader, *crowd.follow(2, stop_after=3))
    await until(lambda: provider.stats()["left"] == 1)
    assert crowd.stored() == 0
    assert (await crowd.ask()).cache_status == "askonce; fwd=miss; stored"
    assert provider.calls() == 2


async def test_all_see_it_when_the_provider_breaks_off(crowd: Crowd, provider: Provider) -> None:
    play(provider, *STREAM[:5], abort=True)
    leader = await crowd.lead()
    answers = await asyncio.gather(leader, *crowd.follow(3))
    assert all(heard.is_cut for heard in answers)
    assert [heard.body for heard in answers] == ["".join(STREAM[:5])] * 4
    assert provider.calls() == 1
    assert crowd.stored() == 0


async def test_who_is_left_sees_it_when_the_provider_breaks_off(crowd: Crowd, provider: Provider) -> None:
    play(provider, *STREAM[:5], abort=True)
    leader = await crowd.lead(stop_after=2)
    follower, _ = await asyncio.gather(*crowd.follow(1), leader)
    assert (follower.is_cut, follower.body) == (True, "".join(STREAM[:5]))
    assert crowd.stored() == 0


@pytest.mark.parametrize("status", [429, 500])
async def test_an_error_is_for_everybody_to_see(crowd: Crowd, provider: Provider, status: int) -> None:
    for _ in range(4):
        play(provider, '{"error": {"message": "no"}}', status=status, headers={"content-type": "application/json"})
    leader = await crowd.lead()
    answers = await asyncio.gather(leader, *crowd.follow(3))
    assert [heard.status for heard in answers] == [status] * 4
    assert provider.calls() == 4


async def test_who_wants_it_otherwise_waits_for_the_end(crowd: Crowd, provider: Provider) -> None:
    play(provider, content_encoding="gzip")
    leader = await crowd.lead(**{"accept-encoding": "gzip"})
    as_json, plain = *crowd.follow(1, stream=False), *crowd.follow(1)
    (encoded,) = crowd.follow(1, **{"accept-encoding": "br;q=0.5, *"})
    (new,) = crowd.follow(1, **{"accept-encoding": "gzip", "cache-control": "max-age=0"})
    led = await leader
    assert (await encoded).is_collapsed
    assert (await encoded).headers["content-encoding"] == led.headers["content-encoding"] == "gzip"
    assert b"".join((await encoded).parts) == b"".join(led.parts)
    assert (await as_json).cache_status.startswith("askonce; hit")
    assert json.loads((await as_json).body)["choices"][0]["message"]["content"] == "".join(WORDS)
    assert (await plain).cache_status.startswith("askonce; hit")
    assert (await new).cache_status == "askonce; fwd=miss; stored"
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
    answers = await asyncio.gather(await crowd.lead(), *crowd.follow(2))
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
    async with Http2.connect(crowd) as client:
        stream = await client.ask()
        async for event in client.events():
            if isinstance(event, h2.events.DataReceived):
                break
        followers = crowd.follow(2)
        await asyncio.sleep(2 * PAUSE)
        await client.reset(stream)
        for heard in await asyncio.gather(*followers):
            assert (heard.body, heard.is_collapsed) == ("".join(STREAM), True)
        assert crowd.stored() == 1
        again = await client.hear(await client.ask())  # the connection still serves
        assert again.cache_status.startswith("askonce; hit")
    assert provider.calls() == 1


async def test_when_all_http2_streams_are_reset_the_provider_is_told(crowd: Crowd, provider: Provider) -> None:
    play(provider, *STREAM[:4], *STREAM * 20)
    async with Http2.connect(crowd) as client:
        first, second = await client.ask(), await client.ask()
        heard = dict.fromkeys((first, second), 0)
        async for event in client.events():
            if isinstance(event, h2.events.DataReceived):
                heard[event.stream_id] += 1
                if heard[event.stream_id] == (2 if event.stream_id == first else 4):
                    await client.reset(event.stream_id)
                    if event.stream_id == second:
                        break
        await until(lambda: provider.stats()["left"] == 1)
        assert crowd.stored() == 0
    assert provider.calls() == 1


async def test_an_http2_client_follows_itself(crowd: Crowd, provider: Provider) -> None:
    play(provider)
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
                case h2.events.StreamEnded(stream_id=int(stream)):
                    unended.remove(stream)
            if not unended:
                break
    assert [heard.body for heard in streams.values()] == ["".join(STREAM)] * 2
    assert sum(heard.is_collapsed for heard in streams.values()) == 1
    assert provider.calls() == 1
