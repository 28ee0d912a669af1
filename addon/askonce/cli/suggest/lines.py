"""The lines of rules.yaml that overlook noise.

One rule: a line says as much as there is of where the noise stands, so that it overlooks no more.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from askonce.cli.suggest.noise import Noise
from askonce.jsontext.differences import Path, shorthand
from askonce.rules.patterns import parse_jsonpath, parse_text

__all__ = ["Ignore", "Line", "Normalise", "normalise_lines", "paths_to"]

_BEFORE, _AFTER = 40, 20
"""Characters of a pattern around what varies."""
_APART = 30
"""Characters between two pieces that are written as one pattern, on one line."""
_LONGEST = 200
"""Characters of a pattern."""
_KIND = re.compile(r"[\w.-]+")
_HOLE = re.compile(r"\{(?:number|hex|word)\}")


class Ignore(NamedTuple):
    """A field that counts for nothing."""

    path: str
    kind: str


class Normalise(NamedTuple):
    """A piece of a text that does."""

    path: str
    kind: str
    pattern: str
    to: str


type Line = Ignore | Normalise


def normalise_lines(path: str, text: str, other: str, noise: Sequence[Noise]) -> list[Normalise] | None:
    """What makes one text of two that differ in `noise` alone; None where that cannot be said: nothing stands before
    the noise, or it is too long, or one line would take what another needs."""
    lines = list[Normalise]()
    groups = list(_groups(text, noise))
    for number, group in enumerate(groups):
        begin = groups[number - 1][-1].end if number else 0
        end = groups[number + 1][0].start if number + 1 < len(groups) else len(text)
        before, after = _before(text[begin : group[0].start]), _after(text[group[-1].end : end])
        pattern, start = before, group[0].start
        for one in group:
            pattern += text[start : one.start] + one.pattern
            start = one.end
        pattern += after
        holes = sum(len(_HOLE.findall(one.pattern)) for one in group)
        if len(pattern) > _LONGEST or len(_HOLE.findall(pattern)) != holes or not _is_accepted(pattern):
            return None
        kind = " and ".join(dict.fromkeys(one.kind for one in group))
        lines.append(Normalise(path, kind, pattern, f"{before}({kind}){after}"))
    return lines if _rewritten(text, lines) == _rewritten(other, lines) else None


def _rewritten(text: str, lines: Sequence[Normalise]) -> str:
    for line in lines:
        text = parse_text(line.pattern).sub(lambda _, to=line.to: to, text)  # type: ignore[misc]
    return text


def _groups(text: str, noise: Sequence[Noise]) -> Iterator[list[Noise]]:
    group = list[Noise]()
    for one in noise:
        if group and ("\n" in (between := text[group[-1].end : one.start]) or len(between) > _APART):
            yield group
            group = []
        group.append(one)
    if group:
        yield group


def _before(text: str) -> str:
    """The end of a text, from the beginning of its last line with a word in it."""
    near = text[-_BEFORE:]
    if len(near) < len(text):
        near = re.sub(r"^\w+(?=\W)", "", near)
    lines = near.split("\n")
    worded = [at for at, line in enumerate(lines) if re.search(r"\w\w", line)]
    return _HOLE.split("\n".join(lines[worded[-1] if worded else 0 :]))[-1]


def _after(text: str) -> str:
    near = _HOLE.split(text)[0]
    line = near.split("\n", 1)[0]
    return line if len(line) <= _AFTER else re.sub(r"\w+$", "", line[:_AFTER])


def _is_accepted(pattern: str) -> bool:
    try:
        parse_text(pattern)
    except ValueError:
        return False
    return True


def paths_to(body: Any, path: Path, alike: Iterable[Path], *, whole: bool) -> Iterator[str]:
    """JSONPaths to a place, from the widest to the one that leads nowhere else.

    `alike` are all places of the body that differ so; `whole`: what is found is to be overlooked as a whole, so that a
    path must lead to none besides.
    """
    alike = {path, *alike}
    for steps in itertools.product(*_selectors(body, path, whole=whole)):
        one = "$" + "".join(steps)
        found = {place for place, _ in parse_jsonpath(one)(body)}
        if not whole or (found <= alike and ("[*]" not in steps or len(found) > 1)):
            yield one


def _selectors(body: Any, path: Path, *, whole: bool) -> Iterator[list[str]]:
    """For each step the ways to write it: an item by what kind it is, which says the same of longer lists, or by its
    index."""
    for step in path:
        ways = ["[*]"] if whole and isinstance(step, int) else []
        for name in ("type", "role"):
            item = body[step]
            if isinstance(step, int) and isinstance(item, dict) and _KIND.fullmatch(kind := str(item.get(name, ""))):
                ways.append(f"[?@.{name} == '{kind}']")
        yield [*ways, shorthand((step,))[1:]]
        body = body[step]
