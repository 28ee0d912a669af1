"""Calls that are answered before mitmproxy has read their requests: what the hooks would decide, by the same functions.

One rule: where a hook would do anything but answer from the cache, the call is the hooks'. One that was looked up here
in vain they take over as it stands: nothing is looked up twice.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import NamedTuple

from mitmproxy.connection import Client, Server

from askonce.call import Reply, Request
from askonce.calls.origin import Arrival, decide
from askonce.calls.state import Exchange
from askonce.proxy import messages
from askonce.proxy.flow_state import Work
from askonce.proxy.gate import Gate
from askonce.proxy.ordinary import Head
from askonce.proxy.unread_hits import may_lack_room
from askonce.proxy.watch import Watch
from askonce.rules import Rule
from askonce.runtime import Runtime

__all__ = ["AtOnce", "Begun", "Caller"]


class Caller(NamedTuple):
    """Who asks, and whose call it is, by the head of the request."""

    client: Client
    rule: Rule
    place: tuple[str, str, int]
    """Scheme, host and port."""


@dataclass(slots=True)
class Begun:
    """A call that was looked up."""

    exchange: Exchange
    looking: asyncio.Task[Reply | None] | None = None
    """What the look-up has come to, or comes to."""

    found: Reply | None = None

    async def reply(self) -> Reply | None:
        """The reply from the cache, once the look-up is over; None where the provider is to be asked."""
        return self.found or (await self.looking if self.looking else None)


class AtOnce:
    """Answers what can be answered without a wait. `work` is told of what is under way."""

    def __init__(self, runtime: Runtime, gate: Gate, watch: Watch, work: Work) -> None:
        self._runtime, self._gate, self._watch, self.work = runtime, gate, watch, work
        self._begun = dict[str, Begun]()
        """By the id of the client; an HTTP/1.1 connection has one call at a time."""

    def arrive(self, client: Client, server: Server, head: Head) -> Caller | None:
        """Whose call a request is that came through a tunnel; None where that is for the hooks to say."""
        assert server.address
        scheme, (host, port), own = "https" if server.tls else "http", server.address[:2], client.sockname
        path = head.path.partition("?")[0]
        arrival = Arrival(scheme, host, port, path, b"POST", head.heads, "", client.sni, (own[0], own[1]))
        origin = decide(arrival, self._runtime.rules)
        if origin.rule is None or origin.managed or origin.protocol or not self._gate.admits(client):
            return None
        self._watch.heard(client)
        return Caller(client, origin.rule, (scheme, origin.host, port))

    def look_up(self, caller: Caller, head: Head, body: bytes) -> Reply | None:
        """The reply to a call, which is `over` once it is sent; None where there is none at once. A call that is not
        over the hooks go on with (`claim`)."""
        request = messages.make_request("POST", caller.place, head.path, head.fields, head.headers, body)
        life = self._runtime.life
        exchange = life.begin(caller.rule, request)
        exchange.is_direct = exchange.may_follow = True
        begun = self._begun[caller.client.id] = Begun(exchange)
        reply = life.look_up_in_memory(exchange) or self._look_up(begun, life.look_up(exchange))
        if reply and may_lack_room(caller.client, reply):
            begun.found = reply
            return None
        return reply

    @staticmethod
    def _look_up(begun: Begun, looking: Awaitable[Reply | None]) -> Reply | None:
        # A task, which what is waited for in a look-up belongs to; it runs here as far as it comes.
        begun.looking = asyncio.eager_task_factory(asyncio.get_running_loop(), looking)  # type: ignore[arg-type]
        return begun.looking.result() if begun.looking.done() else None

    def claim(self, client: Client, rule: Rule, request: Request) -> Begun | None:
        """What was begun of a call that came in as `request`; None where nothing was."""
        begun = self._begun.get(client.id)
        if begun and (begun.exchange.rule is not rule or begun.exchange.request.raw != request.raw):
            self.over(client)
            return None
        return self._begun.pop(client.id, None)

    def over(self, client: Client) -> None:
        """The call that was begun is over, or nobody goes on with it."""
        if begun := self._begun.pop(client.id, None):
            self._runtime.life.account(begun.exchange)

    def client_disconnected(self, client: Client) -> None:
        self.over(client)
