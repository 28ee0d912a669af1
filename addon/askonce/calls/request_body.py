"""The body of a request before anybody reads it: decoded, counted among what is held, and measured.

One rule: what is too much is not read at all, and says by which limit.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

from askonce.call import Reply
from askonce.calls.decoding import TooLarge, decode_content
from askonce.calls.held_bodies import held_bodies
from askonce.calls.limits import SMALL, Limits, is_intricate
from askonce.calls.refusals import no_room, too_large
from askonce.workers import Compute

__all__ = ["Measured", "Unread", "read_body"]

type Measured = Literal["whole", "by line"] | None
"""How a body is read, where Askonce itself reads it; None for one that need not be read."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A body that is not read."""

    why: Literal["large", "full"]
    refusal: Reply
    """For a request to Askonce itself; any other passes on as it came."""


async def read_body(
    call: str, body: bytes, coding: str, compute: Compute, *, measured: Measured = None
) -> bytes | Unread:
    """`body` without its content-encoding, `coding`; empty where it does not decode. `call` is the id of its flow."""
    if coding:
        try:
            body = await compute(partial(decode_content, body, coding, Limits.in_force.max_decoded))
        except TooLarge:
            return Unread("large", too_large("limits.max_decoded", Limits.in_force.max_decoded))
        except ValueError:
            return b""
        if not held_bodies.hold(call, len(body)):
            return Unread("full", no_room())
    if measured and len(body) > SMALL and await compute(partial(_is_intricate, body, measured)):
        return Unread("large", too_large("limits.max_values", Limits.in_force.max_values))
    return body


def _is_intricate(body: bytes, measured: Measured) -> bool:
    return any(map(is_intricate, body.split(b"\n"))) if measured == "by line" else is_intricate(body)
