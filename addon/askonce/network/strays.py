"""What comes to the proxy and becomes no call, so that a person can be told why nothing is answered.

One rule: it is bounded by kind, so that many of one push out none of another, and holds no query and no body.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from askonce.cache.lru import LRU
from askonce.jsontext import encodable
from askonce.settings import authority

__all__ = ["Stray", "StrayKind", "Strays"]

StrayKind = Literal["foreign", "own", "untrusted", "unmatched", "unreachable"]
"""`foreign`: to a host that no rule names. `own`: a tunnel to Askonce itself. `untrusted`: a client left at the proxy's
certificate. `unmatched`: a request to a rule's host that no rule takes. `unreachable`: no connection to a server."""

_MOST = 100
"""Of each kind."""
_LONGEST = 300
"""Characters of a place and of a detail."""


@dataclass(frozen=True, slots=True)
class Stray:
    """One of them, or several that are alike."""

    kind: StrayKind
    place: str
    """`HOST:PORT`."""
    detail: str
    """The method and the path, or the reason."""
    count: int
    last: float
    """Unix time."""


class Strays:
    """Belongs to one event loop."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._held = {kind: LRU[tuple[str, str], Stray](_MOST) for kind in get_args(StrayKind)}
        self.connections = 0
        """Of clients, that are open now."""

    def note(self, kind: StrayKind, host: str, port: int, detail: str = "") -> None:
        """Count one."""
        place = encodable(authority(host, port)[:_LONGEST])
        detail, held = encodable(detail[:_LONGEST]), self._held[kind]
        before = held.get((place, detail))
        held.put((place, detail), Stray(kind, place, detail, before.count + 1 if before else 1, self._now()))

    def newest_first(self) -> list[Stray]:
        """All that are held."""
        found = [stray for held in self._held.values() for _, stray in held.newest_first()]
        return sorted(found, key=lambda stray: stray.last, reverse=True)
