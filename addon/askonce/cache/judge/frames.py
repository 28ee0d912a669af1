"""Questions that ask the same in another frame: "how does a cello differ from a viola?" asks for their difference.

The frames are lines in `lexicon/frames.txt`. One rule: a frame is all of a question, from its first word to its last;
what it does not name stays as it is written.
"""

import re
from collections import defaultdict
from collections.abc import Sequence

from askonce.cache.judge.lexicon import FRAMES

__all__ = ["framed"]

_WRITTEN = {
    "<x>": r"(?P<x>[^.?!;:]+?)",
    "<y>": r"(?P<y>[^.?!;:]+?)",
    ".": r"[,.;:-]",
}
_LONGEST = 200
"""Characters of a question that a frame may fit."""
_SHORT = {"is": r"(?:\s+is|['’]?s)", "would": r"(?:\s+would|['’]?d)", "am": r"(?:\s+am|['’]?m)"}
"""What may stand shortened behind the first word: "what's", "i'd"."""
_PARTS = frozenset((" and ", " or ", " from ", " vs "))
_EMPTY = frozenset(["it", "there", "this", "that"])
"""What stands where a frame has a name, and is none: "is it safe to …"."""
_FIRST = re.compile(r"[a-z]+", re.IGNORECASE)


def _pattern(frame: str) -> re.Pattern[str]:
    """A pattern for a question in this frame, with its end marks."""
    first, second, *rest = frame.split()
    text = first + (_SHORT.get(second) or rf"\s+{_WRITTEN.get(second, second)}")
    for word in rest:
        text += rf"\s*{_WRITTEN[word]}" if word == "." else rf"\s+{_WRITTEN.get(word, word)}"
    return re.compile(rf"\s*{text}\s*(?P<end>[?.!]*)\s*", re.IGNORECASE)


def _by_first_word() -> dict[str, Sequence[tuple[re.Pattern[str], str]]]:
    found = defaultdict[str, list[tuple[re.Pattern[str], str]]](list)
    for name, frames in FRAMES.items():
        for frame in sorted(frames, key=len, reverse=True):
            first = frame.split()[0]
            for written in (first, *(f"{first}{ending}" for ending in "sdm")):
                found[written].append((_pattern(frame), name))
    return dict(found)


_FRAMES = _by_first_word()


def framed(question: str) -> str:
    """The question in the frame that is read for its own, or empty."""
    first = _FIRST.search(question)
    for pattern, name in _FRAMES.get(first[0].lower(), ()) if first and len(question) <= _LONGEST else ():
        if found := pattern.fullmatch(question):
            parts = found.groupdict()
            if parts["x"].lower() in _EMPTY:
                return ""
            if "y" in parts and any(part in f" {parts[side].lower()} " for part in _PARTS for side in "xy"):
                return ""
            text = name.replace("<x>", parts["x"]).replace("<y>", parts.get("y") or "") + parts["end"]
            return "" if text.lower() == question.lower() else text
    return ""
