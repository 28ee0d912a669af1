"""The limits that are in force, and the measure of what a body's JSON would take to read.

One rule: written when rules.yaml is taken up, and read everywhere else. They are the process's, not a runtime's:
mitmproxy makes its streams and connections itself, and nothing can be handed to them.
"""

from typing import ClassVar

from askonce.rules import LimitsSpec

__all__ = ["SMALL", "Limits", "is_intricate"]

SMALL = 64 << 10
"""Bytes of a body that holds nobody up, whatever is in it: a dozen milliseconds at worst."""
_SLICE = 1 << 20
_ITEMS = 4
"""A number or a text takes a fourth of what a key, a list or an object takes."""


class Limits:
    """Those of the process."""

    in_force: ClassVar[LimitsSpec] = LimitsSpec()


def is_intricate(body: bytes, *, items: bool = True) -> bool:
    """Whether JSON of this text would hold the interpreter for longer than other calls should wait.

    A parser makes its objects without letting go of the interpreter's lock: a million keys took it half a second, in
    whichever thread. Marks within texts count as well, so what is found is never too little.
    """
    left = Limits.in_force.max_values
    if len(body) <= SMALL:
        return False
    for start in range(0, len(body), _SLICE):  # each a millisecond or two
        part = body[start : start + _SLICE]
        left -= part.count(b":") + part.count(b"[") + part.count(b"{")
        left -= part.count(b",") // _ITEMS if items else 0
        if left < 0:
            return True
    return False
