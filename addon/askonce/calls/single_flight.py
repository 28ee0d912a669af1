"""Single-flight: identical calls that are under way at the same time ask the provider once.

One rule: a flight always ends. Whoever leads it ends it in every way a call can end, and followers then look again;
if there is nothing to find, one of them leads the next flight, or all of them go on, as the leader's end says. Who
can follow the leader's response as it comes does not wait for the end.
"""

import asyncio
from collections.abc import Callable
from typing import Literal

from askonce.calls.broadcast import Broadcast, Follower

__all__ = ["FlightEnd", "Flights"]

FlightEnd = Literal["stored", "failed", "unstorable"]
"""`stored`: look in the cache. `failed`: the next one tries. `unstorable`: waiting would not help anybody."""


class _Flight:
    def __init__(self) -> None:
        self.ending: asyncio.Future[FlightEnd] = asyncio.get_running_loop().create_future()
        self.begun: asyncio.Future[Broadcast | None] = asyncio.get_running_loop().create_future()
        """The leader's response once it streams; None where the flight ends without."""
        self.waiting = 0
        """How many wait for either."""

    @property
    def is_awaited(self) -> bool:
        broadcast = self.begun.result() if self.begun.done() else None
        return self.waiting > 0 or bool(broadcast and broadcast.followers)

    async def wait[T](self, event: asyncio.Future[T]) -> T:
        """Wait for one of the two. Whoever stops waiting disturbs nobody."""
        self.waiting += 1
        try:
            return await asyncio.shield(event)
        finally:
            self.waiting -= 1


class Flights:
    """The calls for which the provider is being asked, by exact key. Belongs to one event loop."""

    def __init__(self, ended: Callable[[bytes], object] = lambda key: None) -> None:
        """`ended` is told of each flight that ends."""
        self._leading = dict[bytes, _Flight]()
        self._ended = ended

    def __len__(self) -> int:
        return len(self._leading)

    def lead(self, key: bytes) -> bool:
        """Become the leader for `key`; False where another one is."""
        if key in self._leading:
            return False
        self._leading[key] = _Flight()
        return True

    def is_led(self, key: bytes) -> bool:
        """Somebody leads for `key`."""
        return key in self._leading

    async def ending(self, key: bytes) -> FlightEnd:
        """Wait for the leader."""
        flight = self._leading.get(key)
        return "stored" if flight is None else await flight.wait(flight.ending)

    async def follow(self, key: bytes, join: Callable[[Broadcast], Follower | None]) -> Follower | FlightEnd:
        """Wait for the leader's response to begin and `join` it; where that cannot be, for the flight's end."""
        flight = self._leading.get(key)
        if flight is None:
            return "stored"
        if (broadcast := await flight.wait(flight.begun)) and (follower := join(broadcast)):
            return follower
        return await flight.wait(flight.ending)

    def is_awaited(self, key: bytes) -> bool:
        """Whether anybody waits for what the leader is still to be sent."""
        flight = self._leading.get(key)
        return flight is not None and flight.is_awaited

    def begin(self, key: bytes, broadcast: Broadcast) -> None:
        """The leader's response begins to stream."""
        if (flight := self._leading.get(key)) and not flight.begun.done():
            flight.begun.set_result(broadcast)

    def end(self, key: bytes, ending: FlightEnd) -> None:
        """Only the leader calls this; a second time does nothing."""
        if flight := self._leading.pop(key, None):
            self._ended(key)
            flight.ending.set_result(ending)
            if not flight.begun.done():
                flight.begun.set_result(None)
