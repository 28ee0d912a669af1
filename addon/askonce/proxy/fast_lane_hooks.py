"""Calls that are answered before mitmproxy has read their requests: what the hooks would decide, by the same functions.

One rule: where a hook would do anything but answer from the cache, the call is the hooks'. One that was looked up here
in vain they take over as it stands: nothing is looked up twice.
"""

import asyncio
from dataclasses import dataclass
from typing import NamedTuple

from mitmproxy.connection import Client, Server
from mitmproxy.net.http import http1, url

from askonce.call import Reply, Request
from askonce.calls.origin import Arrival, decide
from askonce.calls.product_terms import PLAIN
from askonce.calls.state import Exchange
from askonce.products.base import Passage
from askonce.proxy import messages
from askonce.proxy.fast_lane_requests import Head
from askonce.proxy.flow_state import Work
from askonce.proxy.gate import Gate
from askonce.proxy.unread_hits import may_lack_room
from askonce.proxy.watch import Watch
from askonce.rules import Rule
from askonce.runtime import Runtime

__all__ = ["AtOnce", "Begun", "Caller"]


class Caller(NamedTuple):
    """Who asks, and whose call it is, by the head of the request."""

    client: Client
    rule: Rule | None
    """None: the call is to one of our own addresses."""
    place: tuple[str, str, int]
    """Scheme, host and port."""


@dataclass(slots=True)
class Begun:
    """A call that was looked up."""

    request: Request
    """As it came."""
    rule: Rule | None
    """As its `Caller` has it."""
    claimed: Passage | Reply | None = None
    """What a product makes of it, where it is to one of our own addresses."""
    exchange: Exchange | None = None
    looking: asyncio.Task[Reply | None] | None = None
    """What the look-up has come to, or comes to."""
    found: Reply | None = None
    """What it has come to, where there is more to be done before that is sent."""

    async def reply(self) -> Reply | None:
        """The reply from the cache, once the look-up is over; None where the provider is to be asked."""
        return self.found or (await self.looking if self.looking else None)


class AtOnce:
    """Answers what can be answered without a wait. `work` is told of what is under way."""

    def __init__(self, runtime: Runtime, gate: Gate, watch: Watch, work: Work) -> None:
        self._runtime, self._gate, self._watch, self.work = runtime, gate, watch, work
        self._begun = dict[str, Begun]()
        """By the id of the client; an HTTP/1.1 connection has one call at a time."""

    def arrive(self, client: Client, server: Server | None, head: Head) -> Caller | None:
        """Whose call a request is; None where that is for the hooks to say. `server` is where a tunnel leads that it
        came through, None where it was sent to us as to a server."""
        if (place := _place(server, head)) is None:
            return None
        own, path = client.sockname, head.path.partition("?")[0]
        arrival = Arrival(*place, path, b"POST", head.heads, "", client.sni, (own[0], own[1]), server is None)
        origin = decide(arrival, self._runtime.rules)
        is_ours = origin.managed if server is None else origin.rule and not (origin.managed or origin.protocol)
        if not is_ours or not (origin.managed or self._gate.admits(client)):
            return None
        self._watch.heard(client)
        return Caller(client, origin.rule, (place[0], origin.host, place[2]))

    def answer(self, caller: Caller, head: Head, body: bytes) -> bytes | None:
        """What is sent to who asks, whose call is `over` then; None where there is nothing at once. A call that is not
        over the hooks go on with (`claim`)."""
        client, rule = caller.client, caller.rule
        address = "" if rule else client.peername[0]
        request = messages.make_request("POST", caller.place, head.path, head.fields, head.headers, body, address)
        begun = self._begun[client.id] = Begun(request, rule)
        if rule:
            reply = self._look_up(client, begun, rule, request)
            return messages.write(reply) if reply else None
        begun.claimed = claimed = self._runtime.products.claim(request, request.scheme, self._runtime.rules)
        if claimed is None or isinstance(claimed, Reply):
            return messages.write(claimed) if claimed else None
        reply = self._look_up(client, begun, claimed.rule, claimed.request, claimed)
        return _dressed(reply, claimed, begun.exchange) if reply and begun.exchange else None

    def _look_up(
        self, client: Client, begun: Begun, rule: Rule, request: Request, passage: Passage | None = None
    ) -> Reply | None:
        life = self._runtime.life
        exchange = begun.exchange = life.begin(rule, request, passage.terms if passage else PLAIN)
        exchange.is_direct = exchange.may_follow = passage is None
        reply = life.look_up_in_memory(exchange)
        if reply is None:
            # A task, which what is waited for in a look-up belongs to; it runs here as far as it comes.
            looking = asyncio.eager_task_factory(asyncio.get_running_loop(), life.look_up(exchange))
            begun.looking, reply = looking, looking.result() if looking.done() else None
        if reply and may_lack_room(client, reply):
            begun.found = reply
            return None
        return reply

    def claim(self, client: Client, rule: Rule | None, request: Request) -> Begun | None:
        """What was begun of a call that came in as `request`; None where nothing was."""
        begun = self._begun.get(client.id)
        if begun and (begun.rule is not rule or begun.request.raw != request.raw):
            self.over(client)
            return None
        return self._begun.pop(client.id, None)

    def over(self, client: Client) -> None:
        """The call that was begun is over, or nobody goes on with it."""
        begun = self._begun.pop(client.id, None)
        if begun and begun.exchange:
            self._runtime.life.account(begun.exchange)

    def client_disconnected(self, client: Client) -> None:
        self.over(client)


def _place(server: Server | None, head: Head) -> tuple[str, str, int] | None:
    """Scheme, host and port that a request is for, as mitmproxy has them; None where that is not plain."""
    if server is not None:
        assert server.address
        return "https" if server.tls else "http", server.address[0], server.address[1]
    named = [value for name, value in head.fields if name.lower() == b"host"]
    try:
        (host, port) = url.parse_authority(named[0], check=True) if len(named) == 1 else ("", None)
    except ValueError:
        return None
    return ("http", host, 80 if port is None else port) if host else None


def _dressed(reply: Reply, passage: Passage, exchange: Exchange) -> bytes:
    response = messages.make_response(reply)
    messages.dress(response, passage, exchange)
    return http1.assemble_response_head(response) + reply.body  # type: ignore[no-any-return]
