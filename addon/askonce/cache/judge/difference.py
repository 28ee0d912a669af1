"""What two long prompts differ in: shared paragraphs and sentences are taken out before a judge compares the rest.

The one rule: only the request may differ, never what it is about. A prompt is a text and a request at one of its ends;
where anything else differs (another text under the same question, a change in the middle), there is nothing to compare.
"""

import re
from functools import lru_cache

__all__ = ["LONG", "LONGEST", "difference"]

LONG = 400
"""Characters up to which two prompts are compared as wholes, unless they begin or end with the same sentences."""

LONGEST = 8_000
"""Characters beyond which prompts are not compared, so that a lookup stays short."""

_SENTENCE = re.compile(r"(?:[^\n.!?]|[.!?]++(?!\s|$))*+(?:[.!?]+|\n+|$)\s*")
_END = re.compile(r"(?<=[^\n ]) +\Z")
"""Of a sentence; how many blanks there are says nothing, unless they begin a line."""
_REQUEST = re.compile(
    r"\?|^\W*(?:please\s+|now\s+|then\s+|can you\s+|could you\s+)*"
    r"(?:answer|analy[sz]e|calculate|classify|compare|compute|create|convert|count|define|describe|draft|"
    r"explain|extract|find|fix|generate|give|identify|improve|list|make|name|outline|"
    r"proofread|provide|rank|rate|refactor|rephrase|reply|respond|rewrite|say|show|shorten|simplify|solve|suggest|"
    r"summari[sz]e|tell|translate|write)\b",
    re.IGNORECASE,
)


def difference(one: str, other: str) -> tuple[str, str] | None:
    """The two prompts without what they share, or as they are where they are short and share nothing.

    None where the prompts cannot be compared: both would have to be long, and more than a request at one end differs.
    """
    (left, keys), (right, other_keys) = _sentences(one), _sentences(other)
    least = min(len(left), len(right))
    start = 0
    while start < least and keys[start] == other_keys[start]:
        start += 1
    end = 0
    while end < least - start and keys[-1 - end] == other_keys[-1 - end]:
        end += 1
    short = len(one) <= LONG and len(other) <= LONG
    if not start and not end:
        return (one, other) if short else _moved(left, right)
    a, b = ("".join(s[start : len(s) - end]).strip() for s in (left, right))
    if a.split() == b.split():  # they differ in blanks only, which between two sentences say nothing, but may elsewhere
        return (one, other) if short else (one, one) if keys == other_keys else None
    asks = bool(_REQUEST.search(a) and _REQUEST.search(b))
    if not asks and not short:
        asks = _stands_apart(left, start, end) and _stands_apart(right, start, end)
    if asks and not (start and end) and len(a) <= LONG and len(b) <= LONG:
        return a, b
    return (one, other) if short else None


def _stands_apart(sentences: list[str], start: int, end: int) -> bool:
    """Whether what begins after `start` sentences or ends before the last `end` is a paragraph by itself, beside a text
    in which nothing is requested: then it is the request, though it has neither a mark nor a word of one."""
    shared = sentences[:start] or sentences[len(sentences) - end :]
    own = sentences[start : len(sentences) - end]
    if not own or any(_REQUEST.search(sentence) for sentence in shared):
        return False
    return (sentences[start - 1] if start else own[-1]).endswith("\n\n")


def _moved(left: list[str], right: list[str]) -> tuple[str, str] | None:
    """The requests, where one stands before and the other behind the same text; else None."""
    for before, behind, turned in ((left, right, False), (right, left, True)):
        for start in range(1, _REQUEST_SENTENCES + 1):
            size = len(before) - start
            text, same = "".join(before[start:]).strip(), "".join(behind[:size]).strip()
            if size < 1 or len(behind) - size not in range(1, _REQUEST_SENTENCES + 1) or text != same:
                continue
            asked = "".join(before[:start]).strip(), "".join(behind[size:]).strip()
            said = [bool(_REQUEST.search(part)) for part in asked]
            if max(map(len, asked)) > LONG or not any(said):
                continue
            if all(said) or (before[start - 1].endswith("\n\n") and _tells(before[start:], behind[size - 1])):
                return asked[::-1] if turned else asked
    return None


def _tells(text: list[str], last: str) -> bool:
    """Whether nothing is requested in a text, and its last sentence, as it is where a request follows, ends it: then a
    paragraph beside it is the request, though it has neither a mark nor a word of one."""
    return last.endswith("\n\n") and not any(_REQUEST.search(sentence) for sentence in text)


_REQUEST_SENTENCES = 3
"""Sentences that a request has at most."""


@lru_cache(maxsize=512)
def _sentences(text: str) -> tuple[list[str], list[str]]:
    """The sentences, and what of each counts."""
    found = [match.group() for match in _SENTENCE.finditer(text) if match.group()]
    keys = [_END.sub("", sentence) for sentence in found]
    if keys:
        keys[-1] = keys[-1].rstrip()
    return found, keys
