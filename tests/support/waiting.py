"""How tests wait: for something to be so, never for a time in which it may have come to be so.

One rule: `PATIENCE` is for what would never happen. Nothing that goes well comes near it, however busy the machine is,
so it costs nothing where all is well, and only a test that fails waits for its end.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable

PATIENCE = float(os.environ.get("ASKONCE_TEST_PATIENCE", "300"))
"""Seconds until something that did not happen is taken for something that never will."""
_PAUSE = 0.01

type Followed = Callable[[int], Awaitable[int]]
"""The fixture `followed`."""


def until[T](true: Callable[[], T], what: str = "", seconds: float = PATIENCE) -> T:
    """Wait until something is so; what it gave then."""
    deadline = time.monotonic() + seconds
    while not (given := true()):
        assert time.monotonic() < deadline, what or "it never came to hold"
        time.sleep(_PAUSE)
    return given


async def until_so[T](true: Callable[[], T], what: str = "") -> T:
    """The same on an event loop that has to go on meanwhile."""
    deadline = time.monotonic() + PATIENCE
    while not (given := true()):
        assert time.monotonic() < deadline, what or "it never came to hold"
        await asyncio.sleep(_PAUSE)
    return given
