"""What is taken out of recorded answers before they stand in a cassette.

One rule: the prompt stays, since no call would find an answer to another; everything else that a person could read in
the file is scrubbed.
"""

import copy
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from askonce import jsontext
from askonce.cache import Record
from askonce.call import Answer, Turn
from askonce.rules import ScrubSpec
from askonce.rules.patterns import parse_jsonpath

__all__ = ["scrubbed"]


def scrubbed(record: Record, specs: Sequence[ScrubSpec]) -> Record:
    """A record as it may be written down."""
    if not specs:
        return record
    entry = record.entry
    patterns = [(re.compile(spec.pattern), spec.to) for spec in specs if spec.pattern]

    def plain(text: str) -> str:
        for pattern, to in patterns:
            text = to.join(pattern.split(text)[:: pattern.groups + 1])
        return text

    turns = tuple(turn if turn.text == entry.prompt else Turn(turn.role, plain(turn.text)) for turn in entry.turns)
    return Record(replace(entry, turns=turns, answer=_answer(entry.answer, specs, plain)), record.semantic)


def _answer(answer: Answer, specs: Sequence[ScrubSpec], plain: Callable[[str], str]) -> Answer:
    dropped = {spec.header for spec in specs}
    headers = tuple((name, plain(value)) for name, value in answer.headers if name not in dropped)
    return replace(answer, body=_body(answer.body, specs, plain), headers=headers)


def _body(body: bytes, specs: Sequence[ScrubSpec], plain: Callable[[str], str]) -> bytes:
    try:
        value = jsontext.loads(body)
    except jsontext.NotJson:
        try:
            return plain(body.decode()).encode()
        except UnicodeDecodeError:
            return body
    clean = copy.deepcopy(value)
    for spec in specs:
        for location, _ in parse_jsonpath(spec.path)(clean) if spec.path else ():
            clean = _put(clean, location, spec.to)
    clean = _each_text(clean, plain)
    return body if clean == value else jsontext.dumps(clean)


def _put(value: Any, location: Sequence[str | int], to: str) -> Any:
    """`value` with `to` at a place that it has."""
    if not location:
        return to
    holder = value
    for step in location[:-1]:
        holder = holder[step]
    holder[location[-1]] = to
    return value


def _each_text(value: Any, plain: Callable[[str], str]) -> Any:
    if type(value) is str:
        return plain(value)
    if isinstance(value, dict):
        return {name: _each_text(item, plain) for name, item in value.items()}
    if isinstance(value, list):
        return [_each_text(item, plain) for item in value]
    return value
