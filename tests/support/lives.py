"""Lives of calls without mitmproxy: what is computed apart is computed at once."""

from collections.abc import Callable
from typing import Any

from askonce.accounting import Accounting
from askonce.cache import Cache
from askonce.calls.life import Life
from askonce.faults import Faults
from askonce.rules import Rules

__all__ = ["at_once", "make_life"]


async def at_once[R](function: Callable[[], R], /) -> R:
    return function()


def make_life(rules: Rules, cache: Cache, **more: Any) -> Life:
    """A life with an accounting of its own, which counts its faults."""
    accounting = Accounting()
    return Life(
        rules=rules, cache=cache, accounting=accounting, faults=Faults(accounting.fault), compute=at_once, **more
    )
