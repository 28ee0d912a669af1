"""A streamed response on its way to the call that leads, given to the identical calls that follow, chunk by chunk.

One rule: a follower is given what its own call to the provider would have brought, or nothing; and who follows slowly,
or leaves, is noticed by nobody else. Belongs to one event loop.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Literal
from urllib.request import parse_http_list

from askonce.call import Call

__all__ = ["BodyEnd", "Broadcast", "Follower", "Headers"]

Headers = Iterable[tuple[str, str]]
"""Of a response, as they are sent."""
BodyEnd = Literal["whole", "cut"]
_WEIGHT = re.compile(r"[01](\.[0-9]{0,3})?")


class Broadcast:
    """A leader's response, and who is given it too."""

    def __init__(
        self, call: Call, status: int, headers: Callable[[], Headers], so_far: Callable[[], bytes | None]
    ) -> None:
        """`so_far`: the body up to now; None where it is not known any more, and nobody can join."""
        self.status, self.headers = status, headers
        self.ending: BodyEnd | None = None
        self.followers = list[Follower]()
        self._call, self._so_far = call, so_far
        self._leader_left = False
        self._over = asyncio.Event()

    def follow(self, call: Call, headers: Mapping[str, str]) -> "Follower | None":
        """Join in. `headers`: the caller's, names in lower case. None where it is too late, or another response."""
        if self._over.is_set() or _shape(call) != _shape(self._call) or not self._is_accepted(headers):
            return None
        if (so_far := self._so_far()) is None:
            return None
        follower = Follower(self, so_far)
        self.followers.append(follower)
        return follower

    def _is_accepted(self, headers: Mapping[str, str]) -> bool:
        codings = [value for name, value in self.headers() if name.lower() == "content-encoding"]
        accepted = _weights(headers.get("accept-encoding", ""))
        used = {coding.strip().lower() for coding in ",".join(codings).split(",") if coding.strip()}
        return all(accepted.get(coding, accepted.get("*", 0.0)) > 0 for coding in used)

    def leave(self, follower: "Follower") -> None:
        """A second time does nothing."""
        if follower in self.followers:
            self.followers.remove(follower)
        self._check()

    def leader_leaves(self) -> bool:
        """Whether the response is needed all the same. Where it is not, nobody can join any more."""
        self._leader_left = True
        self._check()
        return self.is_wanted

    @property
    def is_wanted(self) -> bool:
        """By anybody at all."""
        return bool(self.followers) or not self._leader_left

    def end(self, ending: BodyEnd) -> None:
        """The response is over. A second time does nothing."""
        self.ending = self.ending or ending
        for follower in self.followers:
            follower.wake()
        self.followers.clear()
        self._over.set()

    def _check(self) -> None:
        if not self.is_wanted:
            self._over.set()

    async def over(self) -> None:
        """Wait until it has ended, or nobody wants it any more."""
        await self._over.wait()


class Follower:
    """One call's place in a broadcast."""

    def __init__(self, broadcast: Broadcast, so_far: bytes) -> None:
        self.broadcast = broadcast
        self._waiting = [so_far] if so_far else []
        self._news = asyncio.Event()
        if so_far:
            self._news.set()

    def put(self, chunk: bytes) -> None:
        if chunk:
            self._waiting.append(chunk)
            self._news.set()

    def wake(self) -> None:
        self._news.set()

    async def news(self) -> None:
        """Wait until there is something to take, the broadcast is over, or this follower has left."""
        await self._news.wait()

    def take(self) -> bytes:
        """What has come since the last time."""
        taken = b"".join(self._waiting)
        self._waiting.clear()
        if not self.broadcast.ending:
            self._news.clear()
        return taken

    def leave(self) -> None:
        """Take no more. A second time does nothing."""
        self.broadcast.leave(self)
        self._news.set()


def _weights(accepted: str) -> dict[str, float]:
    """What an `Accept-Encoding` says of each coding, `*` for all others: RFC 9110 section 12.5.3. A weight that is no
    number is none."""
    weights = {}
    for part in parse_http_list(accepted.lower()):
        coding, *parameters = (piece.strip() for piece in part.split(";"))
        weight = next((value for name, _, value in (p.partition("=") for p in parameters) if name.strip() == "q"), "1")
        weights[coding] = float(weight) if _WEIGHT.fullmatch(weight.strip()) else 0.0
    return weights


def _shape(call: Call) -> tuple[object, ...]:
    """What makes the streams of two equal questions differ."""
    return call.stream, call.include_usage, call.framing, call.echo
