"""What is kept while a flow passes: whose it is, its call, what was read along of the answer, and that it is there.

One rule: nothing here decides; it is written by the hooks and read by them.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from askonce.calls.aws_signature import signed_headers
from askonce.calls.broadcast import BodyEnd, Broadcast
from askonce.calls.held_bodies import held_bodies
from askonce.calls.origin import Origin
from askonce.calls.state import Exchange, Following
from askonce.products.base import Passage, Translator
from askonce.rules import Rule

__all__ = ["Recorder", "Visit", "Work"]


class Recorder:
    """Reads a response along while mitmproxy passes it on; gives up silently past `limit` bytes.

    With a translator, what is sent on and recorded is the translation.
    """

    broadcast: Broadcast | None = None
    """To whom else it is passed on; nobody may join whom it could not give what has been."""
    lacked_room = False
    """It gave up because all calls together held too much."""
    is_awaited: Callable[[], bool] | None = None
    """Whether identical calls wait for what is to come."""
    ran_ahead = False
    """More of it was asked for than its caller had read."""

    def __init__(self, limit: int, hold: Callable[[int], bool], translator: Translator | None = None) -> None:
        """`hold`: whether so many bytes more may be held, of all calls."""
        self._limit, self._hold = limit, hold
        self._translator = translator
        self._parts: list[bytes] | None = []
        self.size = 0
        """Bytes so far."""

    def __call__(self, data: bytes) -> bytes | list[bytes]:
        if self._translator:
            data = self._translator.feed(data)
        self.size += len(data)
        if self._parts is not None:
            if self.size > self._limit:
                self._parts = None
            elif not self._hold(len(data)):
                self._parts, self.lacked_room = None, True
            else:
                self._parts.append(data)
        if self.broadcast:
            for follower in self.broadcast.followers:
                follower.put(data)
        return data or []  # an empty chunk would end an HTTP/1 response early

    def runs_ahead(self) -> int:
        """The bytes so far, where more is asked for although the caller does not read; else 0."""
        # What he leaves is no more than what is held here already: with half of the room for it, both fit in.
        if self._parts is None or held_bodies.is_half_full or not (self.is_awaited and self.is_awaited()):
            return 0
        self.ran_ahead = True
        return self.size

    @property
    def body(self) -> bytes | None:
        """All bytes so far; None where there were too many."""
        return None if self._parts is None else b"".join(self._parts)


@dataclass(slots=True)
class Visit:
    """What Askonce knows of one flow, from its request headers on."""

    origin: Origin
    rule: Rule | None
    """That of the origin, for as long as the call may be answered under it."""
    bypass: str
    """Why the call is none to read, and is only counted: "websocket", "grpc", "large", "full"; empty for all others."""
    coding: str = ""
    """The request's Content-Encoding."""
    passage: Passage | None = None
    exchange: Exchange | None = None
    recorder: Recorder | None = None
    whole: bool = False
    """The provider's response is read to its end before the caller is sent anything."""

    @property
    def signed(self) -> frozenset[str]:
        """The names of the headers that a signature covers of what the provider is sent."""
        assert self.exchange
        request = self.passage.outgoing or self.passage.request if self.passage else self.exchange.request
        return signed_headers(request.headers)

    def over(self, ending: BodyEnd) -> None:
        """The flow has ended: others hear no more of it, and it hears no more of another."""
        if self.recorder and self.recorder.broadcast:
            self.recorder.broadcast.end(ending)
        if self.exchange and isinstance(self.exchange.state, Following):
            self.exchange.state.follower.leave()


class Work:
    """The flows that are under way, until their answers are stored; what they hold goes with them."""

    def __init__(self) -> None:
        self._flows = set[str]()
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._flows)

    def begin(self, flow_id: str) -> None:
        self._flows.add(flow_id)
        held_bodies.begin(flow_id)
        self._empty.clear()

    def end(self, flow_id: str) -> None:
        self._flows.discard(flow_id)
        held_bodies.end(flow_id)
        if not self._flows:
            self._empty.set()

    async def empty(self) -> None:
        await self._empty.wait()
