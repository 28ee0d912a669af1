"""What two runs of one client differ in, and the lines of rules.yaml after which they would not.

One rule: a line is proposed where it leaves the prompt as it is, and whether the lines are enough is tried with the
rule itself, not guessed.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from askonce.call import Call, Unreadable
from askonce.calls.comparison import PROMPT, BodyDifference, headers_that_differ, places, read
from askonce.calls.kept_request import KeptRequest
from askonce.cli.suggest.lines import Ignore, Line, Normalise, normalise_lines, paths_to
from askonce.cli.suggest.noise import field_noise, header_noise, text_noise
from askonce.jsontext.differences import differences, normalised, written
from askonce.rules import Document, Rule, Rules, RuleSpec
from askonce.rules.document import NormaliseSpec
from askonce.rules.patterns import parse_jsonpath, parse_text

__all__ = ["CallPair", "Content", "Overlooked", "Recorded", "Suggestion", "overlooked", "pair", "suggest"]

_MAY_BE_NOISE = frozenset({"system", "history", "tools", "other"})
"""Parts of a call. A model, a parameter or a medium that differs asks for another answer."""
_TRIED = 20
"""Calls of a run with which each line is tried."""
_NORMALISED = 16
"""Lines under `normalise` of one rule."""

type WhyNot = Literal["content", "prompt", "answer"]
"""`answer`: it is what the provider answered before, and will be the same once that call is a hit."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A call of a run, whose answer was kept."""

    upstream: str
    """The rule's name."""
    host: str
    kept: KeptRequest
    answer: str = ""
    """The provider's, as text."""


@dataclass(frozen=True, slots=True)
class CallPair:
    """The same call of both runs."""

    number: int
    """Its place in the second run, from 1."""
    one: Recorded
    other: Recorded


@dataclass(frozen=True, slots=True)
class Content:
    """What differs and is not proposed to be overlooked."""

    call: int
    path: str
    """A normalized JSONPath, or the name of a header."""
    one: str
    other: str
    why: WhyNot


@dataclass(slots=True)
class Suggestion:
    """For one rule."""

    rule: str
    pairs: list[CallPair] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    """Names for `ignore_headers`."""
    content: list[Content] = field(default_factory=list)
    same: list[int] = field(default_factory=list)
    """Numbers of the calls that are one call as it is."""
    hits: list[int] = field(default_factory=list)
    """Of those that are one with the lines."""
    after: list[int] = field(default_factory=list)
    """Of those that are, once the calls before them are hits."""


@dataclass(frozen=True, slots=True)
class Overlooked:
    """What a line would overlook in the calls that were recorded."""

    places: int
    examples: tuple[str, ...]


def pair(first: Sequence[Recorded], second: Sequence[Recorded]) -> tuple[list[CallPair], int]:
    """The calls of two runs that belong together, and how many are left alone."""
    left, pairs = dict(enumerate(first)), list[CallPair]()
    for number, other in enumerate(second):
        alike = [at for at, one in left.items() if _kind(one) == _kind(other)]
        if alike:
            at = min(alike, key=lambda at: (left[at].kept.body != other.kept.body, abs(at - number)))
            pairs.append(CallPair(number + 1, left.pop(at), other))
    return pairs, len(left) + len(second) - len(pairs)


def _kind(one: Recorded) -> tuple[Any, ...]:
    body = one.kept.body
    return one.upstream, one.host, one.kept.path, body.get("model") if isinstance(body, dict) else None


def suggest(config: Document, pairs: Iterable[CallPair]) -> list[Suggestion]:
    """What to add to each rule of the calls; pairs of rules that are not in `config` are left out."""
    by_rule = dict[str, list[CallPair]]()
    for one in pairs:
        by_rule.setdefault(one.other.upstream, []).append(one)
    specs = {spec.name: spec for spec in config.upstreams}
    return [_Suggesting(config, specs[name], found).suggestion() for name, found in by_rule.items() if name in specs]


class _Suggesting:
    """The work on one rule."""

    def __init__(self, config: Document, spec: RuleSpec, pairs: list[CallPair]) -> None:
        self._config, self._spec = config, spec
        self._rule = _ready(config, spec)
        self._found = Suggestion(spec.name, pairs)
        self._follows = set[int]()
        """Numbers of calls with something of an answer in them."""

    def suggestion(self) -> Suggestion:
        found, answers = self._found, ("", "")
        for one in found.pairs:
            if _is_one(self._rule, one):
                found.same.append(one.number)
            else:
                self._look_at(one, answers)
            answers = answers[0] + one.one.answer, answers[1] + one.other.answer
        self._try()
        return found

    def _look_at(self, one: CallPair, answers: tuple[str, str]) -> None:
        for name in headers_that_differ(one.one.kept, one.other.kept):
            if header_noise(name) and name not in self._spec.headers:
                self._found.headers += [name] if name not in self._found.headers else []
            else:
                self._found.content.append(Content(one.number, name, "", "", "content"))
        found = self._places(one)
        for place in found:
            if PROMPT in place.parts:
                self._tell(one, place, "prompt")
            elif _is_of_an_answer(place, answers):
                self._follows.add(one.number)
                self._tell(one, place, "answer")
            elif not self._add(one, place, found):
                self._tell(one, place, "content")

    def _places(self, one: CallPair) -> Sequence[BodyDifference]:
        """Where they differ in what the lines so far do not overlook."""
        rule = _ready(self._config, _with(self._spec, self._found.lines))
        try:
            return places(rule.wire, rule.read, one.other.host, one.one.kept, one.other.kept)
        except Unreadable:
            return []

    def _tell(self, one: CallPair, place: BodyDifference, why: WhyNot) -> None:
        said = written(place.one), written(place.other)
        self._found.content.append(Content(one.number, normalised(place.path), *said, why))

    def _add(self, one: CallPair, place: BodyDifference, all_places: Sequence[BodyDifference]) -> bool:
        """Propose to overlook what differs at a place; false where that is content, or cannot be said."""
        if not _MAY_BE_NOISE.issuperset(place.parts) or not place.parts:
            return False
        kind = field_noise(place.path, place.one, place.other)
        alike = [other.path for other in all_places if bool(field_noise(*other[:3])) is bool(kind)]
        for path in paths_to(one.other.kept.body, place.path, alike, whole=bool(kind)):
            lines = [Ignore(path, kind)] if kind else _texts(path, place)
            fresh = [line for line in lines or () if not self._is_known(line)]
            if lines and self._has_room(fresh) and self._is_harmless(lines, one):
                self._found.lines += fresh
                return True
        return False

    def _has_room(self, lines: Sequence[Line]) -> bool:
        texts = [line for line in (*self._found.lines, *lines) if isinstance(line, Normalise)]
        return len(self._spec.normalise) + len(texts) <= _NORMALISED

    def _is_known(self, line: Line) -> bool:
        return any(line[0] == other[0] and line[2:] == other[2:] for other in self._found.lines)

    def _is_harmless(self, lines: Sequence[Line], one: CallPair) -> bool:
        """Whether the calls ask the same with these lines, and would whatever stood where they lead to."""
        rules = [_ready(self._config, _with(self._spec, lines)), *(_probe(self._rule, line.path) for line in lines)]
        sides = [one.one, *(other.other for other in (one, *self._found.pairs[:_TRIED]))]
        try:
            return all(_read(rule, side).prompt == _read(self._rule, side).prompt for side in sides for rule in rules)
        except Unreadable:
            return False

    def _try(self) -> None:
        """Find out which calls the lines make one."""
        found = self._found
        rule = _ready(self._config, _with(self._spec, found.lines))
        for one in found.pairs:
            if one.number in found.same:
                continue
            told = [content for content in found.content if content.call == one.number]
            if _is_one(rule, one, found.headers):
                found.hits.append(one.number)
            elif one.number in self._follows and all(content.why == "answer" for content in told):
                found.after.append(one.number)


def overlooked(line: Line, pairs: Iterable[CallPair]) -> Overlooked:
    """What a line would overlook in the calls of both runs."""
    found, count = dict[str, None](), 0
    for one in pairs:
        for side in (one.one, one.other):
            for _, value in parse_jsonpath(line.path)(side.kept.body):
                texts = _matches(line, value) if isinstance(line, Normalise) else [written(value)]
                count += len(texts)
                found |= dict.fromkeys(texts)
    return Overlooked(count, tuple(found))


def _matches(line: Normalise, value: Any) -> list[str]:
    return [match[0] for match in parse_text(line.pattern).finditer(value)] if isinstance(value, str) else []


def _texts(path: str, place: BodyDifference) -> list[Normalise] | None:
    if not isinstance(place.one, str) or not isinstance(place.other, str):
        return None
    noise = text_noise(place.one, place.other)
    return normalise_lines(path, place.one, place.other, noise) if noise else None


def _is_of_an_answer(place: BodyDifference, answers: tuple[str, str]) -> bool:
    """Whether both sides are what the provider answered before in their run."""
    return all(
        isinstance(value, str) and len(value) >= 4 and json.dumps(value, ensure_ascii=False)[1:-1] in answer
        for value, answer in zip((place.one, place.other), answers, strict=True)
    )


def _ready(config: Document, spec: RuleSpec) -> Rule:
    return next(iter(Rules(config.model_copy(update={"upstreams": (spec,)}))))


def _with(spec: RuleSpec, lines: Sequence[Line]) -> RuleSpec:
    """A rule with lines besides its own."""
    texts = [
        NormaliseSpec(path=one.path, pattern=one.pattern, to=one.to) for one in lines if isinstance(one, Normalise)
    ]
    return spec.model_copy(
        update={
            "ignore": (*spec.ignore, *(line.path for line in lines if isinstance(line, Ignore))),
            "normalise": (*spec.normalise, *texts),
        }
    )


def _probe(rule: Rule, path: str) -> Rule:
    """The rule, reading another text than there is where a path leads to."""
    return replace(rule, read=replace(rule.read, normalise=[(parse_jsonpath(path), lambda text: f"({text})")]))


def _read(rule: Rule, side: Recorded) -> Call:
    return read(rule.wire, rule.read, side.host, side.kept)


def _is_one(rule: Rule, one: CallPair, headers: Sequence[str] = ()) -> bool:
    """Whether both requests are the same call; what cannot be read is none."""
    if set(headers_that_differ(one.one.kept, one.other.kept)) - set(headers):
        return False
    try:
        calls = [_read(rule, side) for side in (one.one, one.other)]
    except Unreadable:
        return False
    return calls[0].prompt == calls[1].prompt and not differences(calls[0].parts, calls[1].parts)
