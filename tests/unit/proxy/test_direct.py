"""The short way from an event to its hooks and writes: the order is mitmproxy's, and nothing is lost on it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from mitmproxy import connection, http, options
from mitmproxy.addons import proxyserver
from mitmproxy.proxy import commands, context, events, layer
from mitmproxy.proxy.layers.http import HttpRequestHook, HttpResponseHook
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import taddons, tflow

from askonce.proxy import hook_dispatch
from askonce.proxy.hook_dispatch import CachedAddons, DirectHandler

Steps = Callable[[], layer.CommandGenerator[None]]


class Top(layer.Layer):
    """The layer below it does what a test says."""

    handle_event = hook_dispatch._handle_event  # type: ignore[assignment]

    def __init__(self, client: connection.Client, steps: Steps, *, depth: int = 1) -> None:
        super().__init__(context.Context(client, options.Options()))
        self._steps = steps
        self._below = Top(client, steps, depth=depth - 1) if depth else None

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if self._below:
            yield from self._below.handle_event(event)
        elif isinstance(event, events.Start):
            yield from self._steps()
        else:
            yield commands.Log(type(event).__name__)


class Handler:
    """Stands for a `DirectHandler` whose hooks are all over at once, or none is."""

    def __init__(self, is_over: bool = True) -> None:
        self.begun: list[commands.StartHook] = []
        self.held: list[commands.SendData] = []
        self.fast_responses = None
        self._is_over = is_over

    def begin(self, hook: commands.StartHook) -> bool:
        self.begun.append(hook)
        return self._is_over


class Told:
    """What becomes of layers' steps: what the handler is told, event by event."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, client: connection.Client) -> None:
        self._monkeypatch, self._client = monkeypatch, client
        self.so_far: list[Any] = []

    def start(self, steps: Steps, handler: Handler) -> list[Any]:
        self._monkeypatch.setitem(hook_dispatch._direct, self._client.id, handler)  # type: ignore[arg-type]
        self._top = hook_dispatch._Joining(Top(self._client, steps), handler)  # type: ignore[arg-type]
        return self.event(events.Start())

    def event(self, event: events.Event) -> list[Any]:
        before = len(self.so_far)
        self.so_far.extend(map(self._short, self._top.handle_event(event)))
        return self.so_far[before:]

    @staticmethod
    def _short(command: commands.Command) -> Any:
        match command:
            case commands.SendData():
                return command.connection, command.data
            case commands.Log():
                return command.message
            case _:
                return type(command).__name__


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, one: connection.Client) -> Told:
    return Told(monkeypatch, one)


@pytest.fixture
def one() -> connection.Client:
    return tflow.tclient_conn()


@pytest.fixture
def other() -> connection.Server:
    return tflow.tserver_conn()


def test_what_one_event_sends_to_one_connection_is_one_write(
    told: Told, one: connection.Client, other: connection.Server
) -> None:
    def steps() -> layer.CommandGenerator[None]:
        yield commands.SendData(one, b"a")
        yield commands.SendData(one, b"b")
        yield commands.SendData(other, b"c")
        yield commands.SendData(one, b"d")
        yield commands.SendData(one, b"e")
        yield commands.CloseConnection(one)

    assert told.start(steps, Handler()) == [(one, b"ab"), (other, b"c"), (one, b"de"), "CloseConnection"]


def test_datagrams_are_not_joined(told: Told, one: connection.Client) -> None:
    one.transport_protocol = "udp"

    def steps() -> layer.CommandGenerator[None]:
        yield commands.SendData(one, b"a")
        yield commands.SendData(one, b"b")

    assert told.start(steps, Handler()) == [(one, b"a"), (one, b"b")]


def test_what_comes_before_a_hook_is_sent_before_it(told: Told, one: connection.Client) -> None:
    seen: list[tuple[int, int]] = []

    class Watched(Handler):
        def begin(self, hook: commands.StartHook) -> bool:
            seen.append((len(self.held), len(self.begun)))
            return super().begin(hook)

    handler = Watched()

    def steps() -> layer.CommandGenerator[None]:
        yield commands.SendData(one, b"a")
        yield HttpRequestHook(tflow.tflow())
        yield commands.SendData(one, b"b")

    assert told.start(steps, handler) == [(one, b"a"), (one, b"b")]
    assert (seen, len(handler.begun)) == ([(0, 0)], 1)


def test_a_layer_waits_for_a_hook_that_is_not_over_and_goes_on_when_it_is(told: Told, one: connection.Client) -> None:
    def steps() -> layer.CommandGenerator[None]:
        yield commands.SendData(one, b"a")
        yield HttpRequestHook(tflow.tflow())
        yield commands.SendData(one, b"b")

    handler = Handler(is_over=False)
    assert told.start(steps, handler) == [(one, b"a")]
    assert told.event(events.DataReceived(one, b"meanwhile")) == []
    (hook,) = handler.begun
    assert told.event(events.HookCompleted(HttpRequestHook(tflow.tflow()))) == []  # another's
    assert told.event(events.HookCompleted(hook)) == [(one, b"b"), "DataReceived", "HookCompleted"]
    assert handler.begun == [hook]


def test_nobody_waits_for_a_hook_that_does_not_block(told: Told) -> None:
    def steps() -> layer.CommandGenerator[None]:
        hook = HttpRequestHook(tflow.tflow())
        hook.blocking = False
        yield hook
        yield commands.Log("meanwhile")

    assert told.start(steps, Handler(is_over=False)) == ["meanwhile"]


def test_what_was_to_be_sent_before_a_fault_is_sent(told: Told, one: connection.Client) -> None:
    def steps() -> layer.CommandGenerator[None]:
        yield commands.SendData(one, b"a")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        told.start(steps, Handler())
    assert told.so_far == [(one, b"a")]


# With a real handler


class Addon:
    """Its `request` waits where it is told to, its `response` never."""

    name = "addon"

    def __init__(self) -> None:
        self.told: list[str] = []
        self.go = asyncio.Event()

    async def request(self, flow: http.HTTPFlow) -> None:
        await self.go.wait()
        self.told.append("request")

    def response(self, flow: http.HTTPFlow) -> None:
        self.told.append("response")


class Writer:
    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)}.get(name, default)


@pytest.fixture
async def addon() -> AsyncIterator[Addon]:
    yield Addon()


@pytest.fixture
async def handler(addon: Addon) -> AsyncIterator[DirectHandler]:
    with taddons.context(proxyserver.Proxyserver()) as context:
        owner = context.master
        owner.addons = CachedAddons(owner)
        owner.addons.add(addon)  # type: ignore[no-untyped-call]
        yield DirectHandler(owner, None, Writer(), owner.options, ProxyMode.parse("regular"))


async def test_a_hook_for_which_nobody_waits_is_over_at_once(handler: DirectHandler, addon: Addon) -> None:
    assert handler.begin(HttpResponseHook(tflow.tflow()))
    addon.go.set()
    assert handler.begin(HttpRequestHook(tflow.tflow()))  # asynchronous, and yet nothing to wait for
    assert addon.told == ["response", "request"]
    assert not handler._waiting


async def test_a_hook_that_waits_is_told_once_it_is_over(handler: DirectHandler, addon: Addon) -> None:
    completed: list[events.Event] = []

    async def note(event: events.Event) -> None:
        completed.append(event)

    handler.server_event = note  # type: ignore[method-assign]
    hook = HttpRequestHook(tflow.tflow())
    assert not handler.begin(hook)
    assert handler.begin(HttpResponseHook(tflow.tflow()))  # of another stream, meanwhile
    assert (completed, handler.timeout_watchdog.blocker) == ([], 1)
    addon.go.set()
    await asyncio.gather(*handler._waiting)
    (event,) = completed
    assert isinstance(event, events.HookCompleted) and event.command is hook
    assert (addon.told, handler.timeout_watchdog.blocker) == (["response", "request"], 0)
