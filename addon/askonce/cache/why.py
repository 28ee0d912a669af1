"""Why a call was not answered by an entry: the parts of its key that differ, in words where the words are known.

The one rule here: parts are compared by their digests, so that a difference is told by name also where neither side's
content was kept.
"""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from askonce import jsontext
from askonce.cache.identity import Identity
from askonce.cache.store.entry import Entry
from askonce.call import Call, Turn
from askonce.jsontext.differences import excerpts

__all__ = ["ComparedCall", "Difference", "Nearest", "differences", "nearest", "values_of"]

_COMPARED = 400
"""Characters of two prompts that are compared to tell how alike they are."""
_SHOWN = 160
"""Characters of a text around its first difference."""
_KEPT = 2_000
"""Characters of a part of the key that are kept to tell what differs in it."""
_ORDER = (
    "credential",
    "namespace",
    "wire",
    "host",
    "headers",
    "depends",
    "model",
    "system",
    "tools",
    "history",
    "format",
    "sampling",
    "media",
)
_KEPT_ANYWAY = frozenset({"model", "system", "history"})


def values_of(call: Call) -> dict[str, str]:
    """What there is to show of the parts of a call's key, besides what an entry keeps anyway: the beginnings of tools,
    format, sampling and whatever else the call has."""
    return {name: _written(value)[:_KEPT] for name, value in call.parts.items() if name not in _KEPT_ANYWAY}


def _written(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return jsontext.canonical(value).decode()
    except TypeError:  # a lone surrogate, which JSON can hold and UTF-8 cannot
        return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


class Difference(NamedTuple):
    """A part of the key that is not equal."""

    part: str
    stored: str = ""
    """What the entry has, shortened to what differs; empty where that was not kept."""
    asked: str = ""
    path: str = ""
    """Where in the request: a normalized JSONPath (RFC 9535) into its body, or a header's name; empty where that is not
    known."""


@dataclass(frozen=True, slots=True)
class ComparedCall:
    """One side of the comparison: a call, or an entry as the call that made it."""

    parts: Mapping[str, str]
    key: str = ""
    prompt: str | None = None
    """None where it was not kept."""
    turns: Sequence[Turn] = ()
    model: str = ""
    namespace: str = ""
    wire: str = ""
    host: str = ""
    upstream: str = ""
    """The rule's name."""
    values: Mapping[str, str] = field(default_factory=dict)
    """See `values_of`."""

    @classmethod
    def by(cls, call: Call, identity: Identity, *, namespace: str = "", host: str = "", upstream: str = "") -> Self:
        """A call that was just made."""
        named = call.model, namespace, call.wire, host, upstream
        return cls(identity.parts, identity.key, call.prompt, call.turns, *named, values_of(call))

    @classmethod
    def before(cls, entry: Entry) -> Self:
        """The call that an entry answers."""
        named = entry.model, entry.namespace, entry.wire, entry.host, entry.upstream
        return cls(entry.parts, entry.key, entry.prompt, entry.turns, *named, entry.values)


@dataclass(frozen=True, slots=True)
class Nearest:
    """The entry that is most like what was asked."""

    entry: Entry
    differs: tuple[Difference, ...]
    """Empty for an entry of the very same call."""


def nearest(asked: ComparedCall, entries: Iterable[Entry]) -> Nearest | None:
    """The one of `entries` that differs least, the call's own left out: the same rule first, then the same prompt, then
    few parts."""
    others = {entry.key: entry for entry in entries if entry.key != asked.key}
    if not others:
        return None

    def rank(entry: Entry) -> tuple[bool, bool, int]:
        return _foreign(asked, entry), entry.prompt != asked.prompt, len(_parts(asked, entry))

    # Comparing texts is slow, so only those of the fewest different parts are compared.
    ranked = sorted(others.values(), key=rank)[:50]
    best = min(ranked, key=lambda entry: (_foreign(asked, entry), _distance(asked, entry)))
    return Nearest(best, differences(asked, best))


def differences(asked: ComparedCall, entry: Entry) -> tuple[Difference, ...]:
    """What differs between a call and an entry, the prompt last."""
    found = [_described(part, asked, entry) for part in _parts(asked, entry)]
    if asked.prompt is not None and asked.prompt != entry.prompt:
        found.append(Difference("prompt", *excerpts(entry.prompt, asked.prompt, _SHOWN)))
    return tuple(found)


def _foreign(asked: ComparedCall, entry: Entry) -> bool:
    return bool(asked.upstream) and entry.upstream != asked.upstream


def _parts(asked: ComparedCall, entry: Entry) -> list[str]:
    unlike = {part for part in {*asked.parts, *entry.parts} if asked.parts.get(part) != entry.parts.get(part)}
    return [*(part for part in _ORDER if part in unlike), *sorted(unlike.difference(_ORDER))]


def _distance(asked: ComparedCall, entry: Entry) -> float:
    apart = 0.0
    if asked.prompt is not None and asked.prompt != entry.prompt:
        one, other = asked.prompt[:_COMPARED], entry.prompt[:_COMPARED]
        apart = 2.0 - difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()
    return apart + 0.1 * len(_parts(asked, entry))


def _described(part: str, asked: ComparedCall, entry: Entry) -> Difference:
    match part:
        case "model" | "namespace" | "wire" | "host":
            stored, now = getattr(entry, part), getattr(asked, part)
            return Difference(part, *(("", "") if stored == now else (stored, now)))
        case "system" | "history":
            said = _said(entry.turns, part, entry.prompt), _said(asked.turns, part, asked.prompt)
            return Difference(part, *excerpts(*said, _SHOWN))
    return Difference(part, *excerpts(entry.values.get(part, ""), asked.values.get(part, ""), _SHOWN))


def _said(turns: Sequence[Turn], part: str, prompt: str | None) -> str:
    is_system = part == "system"
    said = [turn for turn in turns if (turn.role in ("system", "developer")) == is_system]
    if is_system:
        return "\n".join(turn.text for turn in said)
    # The prompt is compared by itself; it need not be the last turn, which may be what a tool said.
    asks = next((at for at in reversed(range(len(said))) if said[at].text == prompt), None)
    return "\n".join(f"{turn.role}: {turn.text}" for at, turn in enumerate(said) if at != asks)
