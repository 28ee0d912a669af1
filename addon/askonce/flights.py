"""Single-flight: identical calls that are under way at the same time ask the provider once.

One rule: a flight always ends. Whoever leads it ends it in every way a call can end, and followers then look again;
if there is nothing to find, one of them leads the next flight, or all of them go on, as the leader's end says.
"""

import asyncio
from typing import Literal

__all__ = ["Ending", "Flights"]

Ending = Literal["stored", "failed", "unstorable"]
"""`stored`: look in the cache. `failed`: the next one tries. `unstorable`: waiting would not help anybody."""


class Flights:
    """The calls for which the provider is being asked, by exact key. Belongs to one event loop."""

    def __init__(self) -> None:
        self._leading = dict[bytes, asyncio.Future[Ending]]()

    def __len__(self) -> int:
        return len(self._leading)

    def lead(self, key: bytes) -> bool:
        """Become the leader for `key`; False where another one is."""
        if key in self._leading:
            return False
        self._leading[key] = asyncio.get_running_loop().create_future()
        return True

    async def ending(self, key: bytes) -> Ending:
        """Wait for the leader. Whoever stops waiting disturbs nobody."""
        flight = self._leading.get(key)
        return "stored" if flight is None else await asyncio.shield(flight)

    def end(self, key: bytes, ending: Ending) -> None:
        """Only the leader calls this; a second time does nothing."""
        if flight := self._leading.pop(key, None):
            flight.set_result(ending)
