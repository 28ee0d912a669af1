"""Guards of what is compared as it is written: quotes, identifiers, signs, letter case, white space, punctuation."""

import re
from collections import Counter

from askonce.cache.judge.casing import case_differs
from askonce.cache.judge.guards.pair import Guard, Objection, Pair, sides
from askonce.cache.judge.reading import Reading

__all__ = ["WRITTEN", "ids", "language", "spans"]


def language(pair: Pair) -> Objection | None:
    """What is not English is compared word by word, and a word with other letters than English has by itself: neither
    the lexicon nor the judge can tell rewording from change."""
    a, b = pair.a, pair.b
    if (a.foreign or b.foreign) and a.tokens != b.tokens:
        left, right = a.token_set - b.token_set, b.token_set - a.token_set
        return sides("language", sorted(left)[:3], sorted(right)[:3])
    if a.strange != b.strange:
        return sides("spelling", sorted(a.strange - b.strange)[:3], sorted(b.strange - a.strange)[:3])
    return None


def spans(pair: Pair) -> Objection | None:
    """Quoted text and code must be the same, or stand unquoted in the other."""
    a, b = pair.a, pair.b
    if a.spans == b.spans:
        return None
    only_a, only_b = Counter(a.spans) - Counter(b.spans), Counter(b.spans) - Counter(a.spans)
    near = {_plainly(s) for s in only_a} & {_plainly(s) for s in only_b}
    left = [s for s in only_a if _plainly(s) in near or not _within(s, b)]
    right = [s for s in only_b if _plainly(s) in near or not _within(s, a)]
    return (
        sides("quote", *([" ".join(s.split()) for s in side[:1]] for side in (left, right))) if left or right else None
    )


def _within(span: str, reading: Reading) -> bool:
    return f" {_plainly(span)} " in f" {' '.join(reading.tokens)} "


def _plainly(span: str) -> str:
    return " ".join(span.strip("`'«»").lower().split())


def ids(pair: Pair) -> Objection | None:
    """Links, versions, part numbers."""
    if pair.a.ids == pair.b.ids:
        return None
    only_a, only_b = set(pair.a.ids) - set(pair.b.ids), set(pair.b.ids) - set(pair.a.ids)
    return sides("id", only_a, only_b) if only_a or only_b else None


def symbols(pair: Pair) -> Objection | None:
    """Signs that are no prose, in their order: what does ~ mean, what does % mean; a thumb up, a thumb down."""
    a, b = pair.a, pair.b
    if a.hidden != b.hidden:
        return sides("hidden character", a.hidden, b.hidden)
    one, other = a.between.signs, b.between.signs
    if one == other:
        return None
    if pair.worded_alike:
        return sides("symbol", " ".join(one), " ".join(other))
    more, theirs = Counter(one) - Counter(other), Counter(other) - Counter(one)
    unread = [[sign for sign in side if not _READ.fullmatch(sign)] for side in (more, theirs)]
    if any(unread):
        return Objection("sign", *(" ".join(side) or "-" for side in unread))
    said = [[sign for sign in side.elements() if not _SAYS_WORDS.fullmatch(sign)] for side in (more, theirs)]
    return Objection("symbol", *(" ".join(side) or "-" for side in said)) if any(said) else None


_READ = re.compile(r"[!-/:-@\[-`{-~–—…→°‘’“”«»]+")
"""Signs that are read as words are; any other says what nothing here knows."""
_SAYS_WORDS = re.compile(r"[(){}\[\]\"'?!.,:;/&|%°_…–—]+|[-=]*>+|→|: ?=|~|#|\+")
"""Signs that stand for words in notes and headings ("rice : water", "docker -> local", "cause + cure")."""


def case(pair: Pair) -> Objection | None:
    """A word that both have in another case, where that may be another word: rust and Rust."""
    if not pair.a.cased.forms and not pair.b.cased.forms:
        return None
    found = case_differs(pair.a.cased, pair.b.cased, strictly=pair.worded_alike)
    return sides("case", *found) if found else None


def blanks(pair: Pair) -> Objection | None:
    """Lines that begin with other blanks; and, between the same words, all white space that is more than a gap."""
    a, b = pair.a, pair.b
    if a.indents != b.indents:
        return Objection("white space", _count(a.indents), _count(b.indents))
    if a.spaces != b.spaces and (pair.worded_alike or a.literal or b.literal):
        return Objection("white space", *(repr("".join(s for _, s in side.spaces)) for side in (a, b)))
    return None


def _count(indents: tuple[str, ...]) -> str:
    return " ".join(str(len(blanks)) for blanks in indents[:12]) or "-"


def marks(pair: Pair) -> Objection | None:
    """Punctuation of prose, between the same words; all of the text, where that may be what is asked about."""
    a, b = pair.a, pair.b
    if not pair.worded_alike:
        return None
    if a.literal != b.literal:
        return Objection("text", *(side.literal[:_SHOWN] or "-" for side in (a, b)))
    if a.between.marks == b.between.marks and a.end == b.end and a.owners == b.owners:
        return None
    one, other = _counted(a), _counted(b)
    return None if one == other else Objection("punctuation", *(" ".join(m for _, m in s) or "-" for s in (one, other)))


_SHOWN = 60
"""Characters of a text that a reason quotes."""


def _counted(reading: Reading) -> list[tuple[int, str]]:
    """The marks that count, with how many tokens follow each."""
    found = [*reading.between.marks, *((after, "'s") for after in reading.owners)]
    return [*(mark for mark in found if mark[0] < reading.body), *([(0, reading.end)] if reading.end else [])]


WRITTEN: tuple[Guard, ...] = (symbols, case, blanks, marks)
"""What may differ between two prompts of the same words."""
