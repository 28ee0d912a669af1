"""Why a call was not answered by an entry: the parts of its key that differ, in words where the words are known.

The one rule here: parts are compared by their digests, so that a difference is told by name also where neither side's
content was kept.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from askonce.cache.identity import Identity
from askonce.cache.store.entry import Entry
from askonce.call import Call, Turn

__all__ = ["Asked", "Difference", "Nearest", "differences", "nearest"]

_COMPARED = 400
"""Characters of two prompts that are compared to tell how alike they are."""
_SHOWN = 160
"""Characters of a text around its first difference."""
_ORDER = (
    "credential",
    "namespace",
    "wire",
    "host",
    "model",
    "system",
    "tools",
    "history",
    "format",
    "sampling",
    "media",
)


class Difference(NamedTuple):
    """A part of the key that is not equal."""

    part: str
    stored: str = ""
    """What the entry has, shortened to what differs; empty where that was not kept."""
    asked: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """One side of the comparison: a call, or an entry as the call that made it."""

    parts: Mapping[str, str]
    key: str = ""
    prompt: str | None = None
    """None where it was not kept."""
    turns: Sequence[Turn] = ()
    model: str = ""
    namespace: str = ""
    wire: str = ""

    @classmethod
    def by(cls, call: Call, identity: Identity, namespace: str = "") -> Self:
        """A call that was just made."""
        return cls(identity.parts, identity.key, call.prompt, call.turns, call.model, namespace, call.wire)

    @classmethod
    def before(cls, entry: Entry) -> Self:
        """The call that an entry answers."""
        return cls(entry.parts, entry.key, entry.prompt, entry.turns, entry.model, entry.namespace, entry.wire)


@dataclass(frozen=True, slots=True)
class Nearest:
    """The entry that is most like what was asked."""

    entry: Entry
    differs: tuple[Difference, ...]
    """Empty for an entry of the very same call."""


def nearest(asked: Asked, entries: Iterable[Entry]) -> Nearest | None:
    """The one of `entries` that differs least, the call's own left out: the same prompt first, then few parts."""
    others = {entry.key: entry for entry in entries if entry.key != asked.key}
    if not others:
        return None
    # Comparing texts is slow, so only those of the fewest different parts are compared.
    ranked = sorted(others.values(), key=lambda entry: (entry.prompt != asked.prompt, len(_parts(asked, entry))))[:50]
    best = min(ranked, key=lambda entry: _distance(asked, entry))
    return Nearest(best, differences(asked, best))


def differences(asked: Asked, entry: Entry) -> tuple[Difference, ...]:
    """What differs between a call and an entry, the prompt last."""
    found = [_described(part, asked, entry) for part in _parts(asked, entry)]
    if asked.prompt is not None and asked.prompt != entry.prompt:
        found.append(Difference("prompt", *_excerpts(entry.prompt, asked.prompt)))
    return tuple(found)


def _parts(asked: Asked, entry: Entry) -> list[str]:
    unlike = {part for part in {*asked.parts, *entry.parts} if asked.parts.get(part) != entry.parts.get(part)}
    return [*(part for part in _ORDER if part in unlike), *sorted(unlike.difference(_ORDER))]


def _distance(asked: Asked, entry: Entry) -> float:
    apart = 0.0
    if asked.prompt is not None and asked.prompt != entry.prompt:
        one, other = asked.prompt[:_COMPARED], entry.prompt[:_COMPARED]
        apart = 2.0 - difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()
    return apart + 0.1 * len(_parts(asked, entry))


def _described(part: str, asked: Asked, entry: Entry) -> Difference:
    match part:
        case "model" | "namespace" | "wire":
            return Difference(part, getattr(entry, part), getattr(asked, part))
        case "system" | "history":
            return Difference(part, *_excerpts(_said(entry.turns, part), _said(asked.turns, part)))
    return Difference(part)


def _said(turns: Sequence[Turn], part: str) -> str:
    is_system = part == "system"
    return "\n".join(
        turn.text if is_system else f"{turn.role}: {turn.text}"
        for turn in (turns if is_system else turns[:-1])
        if (turn.role in ("system", "developer")) == is_system
    )


def _excerpts(stored: str, asked: str) -> tuple[str, str]:
    """Both texts from a little before the first sign that differs; empty where they are alike."""
    if stored == asked:
        return "", ""
    pairs = enumerate(zip(stored, asked, strict=False))
    first = next((at for at, (one, other) in pairs if one != other), min(len(stored), len(asked)))
    start = max(0, first - _SHOWN // 4)
    # Whole where they are short: an excerpt of a short text is harder to read than the text.
    start = 0 if max(len(stored), len(asked)) <= _SHOWN else start
    return _cut(stored, start), _cut(asked, start)


def _cut(text: str, start: int) -> str:
    shown = text[start : start + _SHOWN]
    return ("…" if start else "") + shown + ("…" if start + _SHOWN < len(text) else "")
