"""Where two requests differ, and which part of the call each difference is in.

One rule: a difference counts where it changes what is read. That is tried, one difference at a time, so that no wire
format has to say where its parts come from.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from askonce import jsontext
from askonce.cache import Cache, Difference, Entry
from askonce.call import Call, Request, Unreadable
from askonce.calls.kept_request import KeptRequest, unpack
from askonce.jsontext.differences import ABSENT, JsonDifference, Path, apply, differences, excerpts, normalised, written
from askonce.rules import Rules
from askonce.wire import WIRE_FORMATS
from askonce.wire.base import ReadOptions, WireFormat
from askonce.workers import Compute

__all__ = ["PROMPT", "BodyDifference", "Compare", "headers_that_differ", "places", "read"]

PROMPT = "prompt"
_MOST = 40
"""Differences that are told one by one."""
_SHOWN = 160
"""Characters of a value around what differs."""


class BodyDifference(NamedTuple):
    """A place of two bodies that makes them two calls."""

    path: Path
    one: Any
    """A JSON value, or ABSENT."""
    other: Any
    parts: tuple[str, ...]
    """Names of `call.PARTS`, and PROMPT; none where the call cannot be read with this alone."""


def read(wire: WireFormat, options: ReadOptions, host: str, kept: KeptRequest) -> Call:
    """The call in a request that was kept. Raises `Unreadable`."""
    return wire.read(Request("POST", host, kept.path, "", {}, jsontext.dumps(kept.body)), options)


def places(
    wire: WireFormat, options: ReadOptions, host: str, one: KeptRequest, other: KeptRequest
) -> Sequence[BodyDifference]:
    """Where two requests differ in what counts, in the order of the second."""
    found = list[BodyDifference]()
    before = read(wire, options, host, one)
    for difference in differences(one.body, other.body, _MOST):
        parts = _changed(wire, options, host, one, before, difference)
        if parts is not None:
            found.append(BodyDifference(*difference, parts))
    return found


def _changed(
    wire: WireFormat, options: ReadOptions, host: str, one: KeptRequest, before: Call, difference: JsonDifference
) -> tuple[str, ...] | None:
    """The parts of a call that a difference is in; None where it is in none."""
    body = apply(jsontext.loads(jsontext.dumps(one.body)), [difference])
    try:
        after = read(wire, options, host, replace(one, body=body))
    except Unreadable:
        return ()
    changed = [
        name
        for name in sorted({*before.parts, *after.parts})
        if differences(before.parts.get(name, ABSENT), after.parts.get(name, ABSENT))
    ]
    return (*changed, *([PROMPT] if before.prompt != after.prompt else [])) or None


class Compare:
    """Tells where the calls of two entries differ, under the rules of the moment."""

    def __init__(self, cache: Cache, rules: Callable[[], Rules], compute: Compute) -> None:
        self._cache, self._rules, self._compute = cache, rules, compute

    async def __call__(self, stored: Entry, asked: Entry) -> Sequence[Difference]:
        """Their differences by path; none where a request was not kept."""
        one, other = [await self._cache.request(entry.key) for entry in (stored, asked)]
        if not one or not other or stored.wire != asked.wire or asked.wire not in WIRE_FORMATS:
            return []
        return await self._compute(lambda: self._compare(asked, unpack(one), unpack(other)))

    def _compare(self, asked: Entry, one: KeptRequest | None, other: KeptRequest | None) -> Sequence[Difference]:
        assert one and other
        rule = next((rule for rule in self._rules() if rule.name == asked.upstream), None)
        wire, options = (rule.wire, rule.read) if rule else (WIRE_FORMATS[asked.wire], ReadOptions())
        try:
            found = [_described(place) for place in places(wire, options, asked.host, one, other)]
        except Unreadable:  # under the rules of today
            found = []
        return [*(Difference("headers", path=name) for name in headers_that_differ(one, other)), *found]


def headers_that_differ(one: KeptRequest, other: KeptRequest) -> Sequence[str]:
    """The names of the headers by which two requests ask for other answers."""
    names = {*one.headers, *other.headers}
    return sorted(name for name in names if one.headers.get(name) != other.headers.get(name))


def _described(place: BodyDifference) -> Difference:
    stored, asked = excerpts(written(place.one), written(place.other), _SHOWN)
    return Difference(", ".join(place.parts), stored, asked, normalised(place.path))
