"""What an attack is: what it does, and what it may cost.

One rule: an attack's input is harmless by itself, bounded in count and time, and goes to this machine's loopback only.
An attack returns how many answers it got that it must not get: hits for somebody else, doors that stood open, answers
that were lost. To add one: a function in the module of its kind, and a line in the
table at that module's end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.attack.target import Target
from tests.attack.watch import MIB


@dataclass(frozen=True)
class Bound:
    """What an attack may cost; nothing wrong is ever allowed."""

    stall: float = 0.1
    """Seconds for which the event loop may stand."""
    memory: int = 64 * MIB
    """Bytes above the steady state."""
    descriptors: float = 0.5
    """The share of those that the process may have."""


@dataclass(frozen=True)
class Attack:
    name: str
    does: str
    run: Callable[[Target], int]
    bound: Bound = Bound()
