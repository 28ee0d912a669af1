"""How mitmproxy's events reach the addons and its bytes the sockets, without the waits between.

One rule: what is done, and in which order, is mitmproxy's; only the way from one step to the next is shorter. Its own
way takes a task, a lock, a turn of the event loop and a dozen layers up to the handler and down again for each hook of
each call, and a write for each piece of a message; docs/design.md has what that costs. Where mitmproxy's code is
another than the one it was written for, hooks go mitmproxy's way.
"""

import asyncio
import contextlib
import inspect
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import fields
from functools import cache
from typing import Any

from mitmproxy import addonmanager, connection, exceptions, flow, hooks, master
from mitmproxy.proxy import commands, events, layer, mode_servers, server
from mitmproxy.proxy.layers.http import _hooks
from mitmproxy.utils import asyncio_utils

from askonce.proxy.known_source import is_known
from askonce.proxy.run_ahead import LOOK, streams_ahead, unsent

__all__ = ["CachedAddons", "DirectHandler", "install"]

logger = logging.getLogger("askonce")

type Listener = Callable[..., Any]


class CachedAddons(addonmanager.AddonManager):
    """Looks up each hook's listeners once. One addon's exception is logged and does not reach the others."""

    def __init__(self, owner: master.Master) -> None:
        super().__init__(owner)  # type: ignore[no-untyped-call]
        self._listeners = dict[str, tuple[Listener, ...]]()

    def register(self, addon: object) -> object:
        self._listeners.clear()
        return super().register(addon)  # type: ignore[no-untyped-call]

    def remove(self, addon: object) -> None:
        self._listeners.clear()
        super().remove(addon)  # type: ignore[no-untyped-call]

    async def handle_lifecycle(self, event: hooks.Hook) -> None:
        await self.trigger_event(event)
        if self.listeners("update") and isinstance(message := event.args()[0], flow.Flow):
            await self.trigger_event(hooks.UpdateHook([message]))

    async def trigger_event(self, event: hooks.Hook) -> None:
        if rest := self.tell(event.name, *event.args()):
            await rest

    def tell(self, name: str, *arguments: object) -> Awaitable[None] | None:
        """Call a hook's listeners. Where one of them waits, what is left to be awaited: it, and those after it."""
        return self._tell(name, arguments, iter(self.listeners(name)))

    def _tell(self, name: str, arguments: tuple[object, ...], left: Iterator[Listener]) -> Awaitable[None] | None:
        for listener in left:
            try:
                result = listener(*arguments)
            except exceptions.AddonHalt:
                break
            except exceptions.OptionsError:
                raise
            except Exception as error:
                logger.exception("Addon error in %s: %s", name, error)
            else:
                if result is not None and inspect.isawaitable(result):
                    return self._wait(name, arguments, result, left)
        return None

    async def _wait(
        self, name: str, arguments: tuple[object, ...], result: Awaitable[object], left: Iterator[Listener]
    ) -> None:
        try:
            await result
        except exceptions.AddonHalt:
            return
        except exceptions.OptionsError:
            raise
        except Exception as error:
            logger.exception("Addon error in %s: %s", name, error)
        if rest := self._tell(name, arguments, left):
            await rest

    def listeners(self, name: str) -> tuple[Listener, ...]:
        """The listeners of a hook, in the chain's order."""
        found = self._listeners.get(name)
        if found is None:
            addons = addonmanager.traverse(self.chain)
            found = tuple(listener for addon in addons if callable(listener := getattr(addon, name, None)))
            if self.chain:
                self._listeners[name] = found
        return found


class DirectHandler(mode_servers.ProxyConnectionHandler):
    """mitmproxy's handler of one client's connection. A hook for which nobody waits is over where it began, and what
    one event has to send to one connection is sent in one write."""

    _begun: commands.StartHook | None = None
    """The hook that is being called at this moment."""
    fast_responses: Callable[[events.Event], Iterator[commands.Command] | None] | None = None
    """What is to be done after an event, past some layers; None for an event that all of them have to see."""
    is_provider_heard = False
    """What is being handled came from a provider."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)  # type: ignore[no-untyped-call]
        self._waiting = set[asyncio.Task[None]]()
        self._is_closed = False
        self.held: list[commands.SendData] = []
        """What is to be sent to one connection, in one write."""

    async def handle_client(self) -> None:
        addons = self.master.addons
        # Who listens for updates is told of every flow after every hook, which is mitmproxy's own way.
        if isinstance(addons, CachedAddons) and not addons.listeners("update"):
            self.layer = _Joining(self.layer, self)  # type: ignore[assignment]
            _direct[self.client.id] = self
        try:
            await super().handle_client()
        finally:
            self._is_closed = True
            self._forget()

    async def drain_writers(self) -> None:
        """Wait until what is sent is taken; but not by a client for whose answer others wait."""
        while (is_behind := unsent(self) > _UNTAKEN) and not streams_ahead(self):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await super().drain_writers()  # type: ignore[no-untyped-call]
        if not is_behind:
            await super().drain_writers()  # type: ignore[no-untyped-call]

    def _forget(self) -> None:
        # A hook may outlast its client: those that follow it are called here as well, or nobody would call them.
        if self._is_closed and not self._waiting:
            _direct.pop(self.client.id, None)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._waiting.discard(task)
        self._forget()

    def begin(self, hook: commands.StartHook) -> bool:
        """Call a hook; whether it is over. Where it is not, mitmproxy is told once it is."""
        if self.is_provider_heard and isinstance(hook, _FIRST):
            rest: Awaitable[None] | None = self._call_later(hook)
        else:
            rest = self._call(hook)
        if rest is None:
            return True
        self._begun = hook
        task = asyncio.eager_task_factory(asyncio.get_running_loop(), self._wait(hook, rest))
        over, self._begun = self._begun is None, None
        if not task.done():
            asyncio_utils.set_task_debug_info(task, name=f"handle_hook({hook.name})", client=self.client.peername)
            self._waiting.add(task)
            task.add_done_callback(self._over)
        return over

    def _call(self, hook: commands.StartHook) -> Awaitable[None] | None:
        addons = self.master.addons
        assert isinstance(addons, CachedAddons)
        return addons.tell(hook.name, getattr(hook, _argument(type(hook))))  # type: ignore[arg-type]  # a class hashes

    async def _call_later(self, hook: commands.StartHook) -> None:
        """Call a hook once the event that is being handled is."""
        await asyncio.sleep(0)
        if rest := self._call(hook):
            await rest

    async def _wait(self, hook: commands.StartHook, rest: Awaitable[None]) -> None:
        with self.timeout_watchdog.disarm():
            await rest
        if self._begun is hook:
            self._begun = None
        elif hook.blocking:
            await self.server_event(events.HookCompleted(hook))


_UNTAKEN = 64 << 10
"""Bytes; asyncio lets a writer wait beyond these."""
_FIRST = (_hooks.HttpRequestHeadersHook, _hooks.HttpConnectHook)
"""A request's first hook. One that a client sent behind another begins inside the end of that one's answer, while the
provider's connection is not free yet: it begins when that is over, as where each hook takes a turn of the loop."""

_direct: dict[str, DirectHandler] = {}
"""The handlers that call hooks where they arise, by the id of their client."""


def _handle_event(one: layer.Layer, event: events.Event) -> layer.CommandGenerator[None]:
    """`Layer.handle_event`, but for hooks: they are called here, and not by the handler at the other end of all layers.
    A layer pauses only where one has to be waited for."""
    handler = _direct.get(one.context.client.id)
    if handler is None or one.debug is not None:
        yield from _handle_event_from_afar(one, event)
        return
    paused, reply, waiting = one._paused, None, _NOTHING
    if paused is None:
        steps = one._handle_event(event)
    elif isinstance(event, events.CommandCompleted) and event.command is paused.command:
        steps, reply, waiting = paused.generator, event.reply, one._paused_event_queue
        one._paused = None
    else:
        one._paused_event_queue.append(event)
        return
    while True:
        try:
            command = steps.send(reply)
        except StopIteration:
            if not waiting:
                return
            steps, reply = one._handle_event(waiting.popleft()), None
            continue
        reply = None
        if isinstance(command, commands.StartHook) and isinstance(command.blocking, bool):  # else of a layer below
            if handler.held:
                yield _SendNow()
            if handler.begin(command) or not command.blocking:
                continue
        if command.blocking is True:
            command.blocking, one._paused = one, layer.Paused(command, steps)
            yield command
            return
        yield command


_handle_event_from_afar = layer.Layer.handle_event
_NOTHING = deque[events.Event]()


class _SendNow(commands.Command):
    """Send what is held."""


class _Joining:
    """A handler's topmost layer, whose writes are joined before the handler sees them."""

    def __init__(self, top: layer.Layer, handler: DirectHandler) -> None:
        self._top, self._handler = top, handler
        self.context = top.context

    def __repr__(self) -> str:
        return repr(self._top)

    def handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        held = self._handler.held
        heard = event.connection if isinstance(event, events.ConnectionEvent) else None
        self._handler.is_provider_heard = isinstance(heard, connection.Server)
        try:
            for command in self._steps(event):
                if isinstance(command, commands.SendData):
                    if held and held[0].connection is not command.connection:
                        yield _joined(held)
                    if command.connection.transport_protocol == "tcp":
                        held.append(command)
                        continue
                elif held:
                    yield _joined(held)
                if not isinstance(command, _SendNow | commands.StartHook):  # a hook was called where it arose
                    yield command
        except Exception:
            if held:
                yield _joined(held)
            raise
        if held:
            yield _joined(held)

    def _steps(self, event: events.Event) -> Iterator[commands.Command]:
        way = self._handler.fast_responses
        return (way(event) if way else None) or self._top.handle_event(event)


def _joined(held: list[commands.SendData]) -> commands.SendData:
    """What was held, as one; nothing is held any more."""
    if len(held) == 1:
        return held.pop()
    whole = commands.SendData(held[0].connection, b"".join([command.data for command in held]))
    held.clear()
    return whole


@cache
def _argument(hook: type[commands.StartHook]) -> str:
    """The name of a hook's only argument."""
    (field,) = fields(hook)  # type: ignore[arg-type]
    return field.name


def install() -> bool:
    """Have mitmproxy handle connections this way, where its addons are a `CachedAddons`; whether it does."""
    if not is_known("direct calls of hooks are", (layer, server, mode_servers, addonmanager)):
        return False
    mode_servers.ProxyConnectionHandler = DirectHandler  # type: ignore[misc]
    layer.Layer.handle_event = _handle_event  # type: ignore[assignment, method-assign]
    return True
