"""The short way from an event to its hooks and writes: the order is mitmproxy's, and nothing is lost on it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from mitmproxy import connection, http
from mitmproxy.addons import proxyserver
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http import HttpRequestHook, HttpResponseHook
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import taddons, tflow

from askonce.dispatch import CachedAddons, DirectHandler, _Direct

Steps = Callable[[], layer.CommandGenerator[None]]


class Top(layer.Layer):
    """Does what a test says."""

    def __init__(self, steps: Steps) -> None:
        self._steps, self.context, self.debug, self._paused = steps, None, None, None  # type: ignore[assignment]

    def handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.Start):
            yield from self._steps()
        elif isinstance(event, events.HookCompleted):
            yield commands.Log(f"after {event.command.name}")

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        yield from ()


class Handler:
    """Stands for a `DirectHandler` whose hooks are all over at once."""

    def __init__(self, is_over: bool = True) -> None:
        self.begun: list[str] = []
        self._is_over = is_over

    def begin(self, hook: commands.StartHook) -> bool:
        self.begun.append(hook.name)
        return self._is_over


def said(steps: Steps, handler: Handler) -> list[Any]:
    direct = _Direct(Top(steps), handler)  # type: ignore[arg-type]
    found: list[Any] = []
    for command in direct.handle_event(events.Start()):
        match command:
            case commands.SendData():
                found.append((command.connection, command.data))
            case commands.Log():
                found.append(command.message)
            case _:
                found.append(type(command).__name__)
    return found


@pytest.fixture
def one() -> connection.Client:
    return tflow.tclient_conn()


@pytest.fixture
def other() -> connection.Server:
    return tflow.tserver_conn()


def test_what_one_event_sends_to_one_connection_is_one_write(one: connection.Client, other: connection.Server) -> None:
    def steps() -> layer.CommandGenerator[None]:
        yield commands.SendData(one, b"a")
        yield commands.SendData(one, b"b")
        yield commands.SendData(other, b"c")
        yield commands.SendData(one, b"d")
        yield commands.SendData(one, b"e")
        yield commands.CloseConnection(one)

    assert said(steps, Handler()) == [(one, b"ab"), (other, b"c"), (one, b"de"), "CloseConnection"]


def test_datagrams_are_not_joined(one: connection.Client) -> None:
    one.transport_protocol = "udp"

    def steps() -> layer.CommandGenerator[None]:
        yield commands.SendData(one, b"a")
        yield commands.SendData(one, b"b")

    assert said(steps, Handler()) == [(one, b"a"), (one, b"b")]


def test_what_comes_before_a_hook_is_sent_before_it(one: connection.Client) -> None:
    handler = Handler()
    sent_before: list[list[str]] = []

    def steps() -> layer.CommandGenerator[None]:
        yield commands.SendData(one, b"a")
        sent_before.append(list(handler.begun))
        yield HttpRequestHook(tflow.tflow())
        yield commands.SendData(one, b"b")

    assert said(steps, handler) == [(one, b"a"), (one, b"b"), "after request"]
    assert (handler.begun, sent_before) == (["request"], [[]])


def test_a_hook_that_is_not_over_is_told_by_nobody_here() -> None:
    def steps() -> layer.CommandGenerator[None]:
        yield HttpRequestHook(tflow.tflow())
        yield commands.Log("meanwhile")

    assert said(steps, Handler(is_over=False)) == ["meanwhile"]


def test_what_was_to_be_sent_before_a_fault_is_sent(one: connection.Client) -> None:
    def steps() -> layer.CommandGenerator[None]:
        yield commands.SendData(one, b"a")
        raise ZeroDivisionError

    direct = _Direct(Top(steps), Handler())  # type: ignore[arg-type]
    found: list[bytes] = []
    with pytest.raises(ZeroDivisionError):
        for command in direct.handle_event(events.Start()):
            assert isinstance(command, commands.SendData)
            found.append(command.data)
    assert found == [b"a"]


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
