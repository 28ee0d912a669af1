"""A prompt read once into what the guards and the judge compare: numbers, names, negations, roles, content words.

`read` is pure and remembered, so that a stored prompt is read only the first time it is a candidate. Nothing here
compares.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from askonce.cache.judge.casing import NO_CASE, Cased, cased
from askonce.cache.judge.characters import NO_SIGNS, Signs, composed, hidden, indents, signs, spaces
from askonce.cache.judge.content_words import Word, content_words
from askonce.cache.judge.frames import framed
from askonce.cache.judge.lexicon import ABOUT_TEXT, CONTRACTIONS, FOREIGN, FUNCTION_WORDS, NEGATORS, SCOPES, UNITS
from askonce.cache.judge.numbers import Number, numbers_of, spell_out
from askonce.cache.judge.plain_form import plain
from askonce.cache.judge.question_type import adds_nothing, core_of, question_of
from askonce.cache.judge.tokens import TokenList

__all__ = ["Number", "Reading", "Word", "is_about_text", "read"]

_STOPS = frozenset(".?!\n")
_SCOPE_WORDS = frozenset(SCOPES)
_UNIT_WORDS = frozenset(word for word in UNITS if len(word) > 1)
_NOTHING = frozenset[str]()
"""Of the sets of most readings, and one object: each other empty set would take 200 bytes of every prompt in memory."""


@dataclass(slots=True)
class Reading:
    """What one prompt says, by the facets that guards compare. Nothing changes one; frozen, it would take four times as
    long to make, and each new prompt has one."""

    words: tuple[Word, ...] = ()
    numbers: tuple[Number, ...] = ()
    spans: tuple[str, ...] = ()
    """Quoted text and code as they are written, with their marks; without, in double quotes."""
    ids: tuple[str, ...] = ()
    """Links and addresses as they are written; versions and words that hold digits, in lower case."""
    negated: tuple[str, ...] = ()
    """For each negator, the stem of the next content word, or empty."""
    names: tuple[str, ...] = ()
    """Capitalised words inside a sentence, lower case."""
    tokens: tuple[str, ...] = ()
    """Every word, contractions written out, lower case, in order; marks left out."""
    question: str = ""
    """how, how many, why, when, where, who, what, yes/no, order, or empty."""
    lead: str = ""
    """The auxiliary that opens the first question ("is", "should"), or empty."""
    stems: frozenset[str] = frozenset()
    order: tuple[str, ...] = ()
    """The stems as they come, without repeats."""
    token_set: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    units: frozenset[str] = frozenset()
    """Unit words by their canonical name, with a number or without."""
    between: Signs = NO_SIGNS
    body: int = 0
    """Marks that more tokens than this follow, or as many, belong to the courtesies before the core."""
    owners: tuple[int, ...] = ()
    """How many tokens follow each possessive "'s"."""
    end: str = ""
    """The mark at its end, where that adds to the words."""
    cased: Cased = NO_CASE
    spaces: tuple[tuple[int, str], ...] = ()
    """See `characters.spaces`."""
    indents: tuple[str, ...] = ()
    """See `characters.indents`."""
    strange: frozenset[str] = frozenset()
    """Words with letters beyond ASCII, which are compared as they are written."""
    literal: str = ""
    """The prompt, where it may be about its own text: between the same words all of it counts."""
    hidden: str = ""
    """A character that a reader does not see, or empty."""
    core: tuple[str, ...] = ()
    """`tokens` without greetings, courtesies and the many ways to say "how do I"."""
    framed: str = ""
    """The same question in another frame (see `frames.py`), or empty."""
    sentences: int = 1
    foreign: bool = False
    """Not English: read word by word only."""


@lru_cache(maxsize=4096)
def read(prompt: str, *, literal: bool = False) -> Reading:
    """Reads one prompt, a few tens of microseconds for a line; remembered.

    `literal`: it is known to be about its own text; else its words are asked.
    """
    if not prompt.isascii():
        prompt = composed(prompt)
    found = TokenList(_bare(prompt) if literal else question(prompt))
    if not literal and not _ABOUT_WORDS.isdisjoint(found.tokens) and _ABOUT_SHORT_FORM.search(prompt, 0, _SHORT):
        return read(prompt, literal=True)
    return _reading(found, literal=literal)


def question(prompt: str) -> str:
    """What a prompt asks, in its plain form, without greetings and thanks."""
    return plain(_bare(prompt))


def _bare(prompt: str) -> str:
    greeting = _GREETING.match(prompt)
    return _THANKS.sub("", prompt[greeting.end() :] if greeting else prompt) or prompt


def is_about_text(prompt: str) -> bool:
    """Whether a prompt may ask about how a text is written."""
    return not ABOUT_TEXT.isdisjoint(prompt.lower().replace("?", " ").replace(".", " ").replace(":", " ").split())


_ABOUT_WORDS = frozenset(("define", "mean", "meaning", "pronounce", "short", "slang", "spell", "stand", "translate"))
_SHORT = 200
"""Characters in which who asks about a word has asked."""
_SHORT_FORM = rf"[\"'“‘]?(?:(?:{'|'.join(CONTRACTIONS)})\b|[a-z]+['’][a-z]+)[\"'”’]?"
_ABOUT_SHORT_FORM = re.compile(
    rf"\b(?:(?:does|do|is)\s+{_SHORT_FORM}\s+(?:mean|short|slang|stand)"
    rf"|(?:define|meaning\s+of|pronounce|spell|translate)\s+{_SHORT_FORM})",
    re.IGNORECASE,
)
"""A question about "cant" or "don't" itself, which are read as "can not" and "do not" elsewhere."""
_GREETING = re.compile(
    r"""^\s*(?:
    (?:hi|hello|hey|dear\ \w+|good\ (?:morning|evening|afternoon|day))(?:\ (?:there|all|everyone|everybody|team))?
        (?:\s*[,.!:\n]+\s*|\ +(?=(?:what|which|who|when|where|why|how|can|could|do|does|is|are|i|please)\b))
    |(?:quick|just\ a|one|another)\ (?:quick\ )?question\s*[,.!:\n-]+\s*)+""",
    re.VERBOSE | re.IGNORECASE,
)
"""Only what stands apart: "hello" in "hello world" is no greeting."""
_THANKS = re.compile(
    r"""(?:(?:,|(?<=[.!?;:\n]))\s*(?:please|cheers|thx|(?:many\ thanks|thanks|thank\ you)
    (?:\ (?:a\ lot|so\ much|very\ much|in\ advance|for\ your\ help))*)\s*[.!]*\s*)+$""",
    re.VERBOSE | re.IGNORECASE,
)
"""Only what stands apart: "thanks" in "how do I say thanks?" is what is asked. The comma before it goes along."""


def _reading(found: TokenList, *, literal: bool) -> Reading:
    literal = literal or not ABOUT_TEXT.isdisjoint(found.tokens)
    prompt, size = found.prompt, len(found.tokens)
    between = signs(prompt, found.mark_places, found.tokens)
    owners = tuple(size - at for at, token in enumerate(found.tokens) if token == "'s")
    spell_out(found)
    words, positions = content_words(found.tokens, found.marks)
    tokens = tuple([t for t in found.tokens if t and t[0] not in "\0'"])
    stems = [word.stem for word in words]
    negated = []
    for index, token in enumerate(found.tokens):
        if token in NEGATORS and not _is_idle(found, index):
            after = next((s for s, p in zip(stems, positions, strict=True) if p > index), "")
            negated.append(after)
    question, lead = question_of(found.tokens, found.marks)
    known = frozenset(tokens)
    core, foreign = core_of(tokens), _foreign(known)
    return Reading(
        words=tuple(words),
        numbers=tuple(numbers_of(found, stems, positions)),
        spans=tuple(found.spans),
        ids=tuple(found.ids),
        negated=tuple(negated),
        names=tuple(
            t
            for t, c in zip(found.tokens, found.capital, strict=True)
            if c and t not in FUNCTION_WORDS and t not in UNITS
        ),
        tokens=tokens,
        question=question,
        lead=lead,
        stems=frozenset(stems),
        order=tuple(dict.fromkeys(stems)),
        token_set=known,
        scopes=frozenset(SCOPES[t] for t in known & _SCOPE_WORDS) or _NOTHING,
        units=frozenset(UNITS[t] for t in known & _UNIT_WORDS) or _NOTHING,
        between=between,
        body=size - (len(tokens) - len(core)) if len(core) < len(tokens) else size + 1,
        owners=owners,
        cased=cased(prompt, literal=literal, foreign=foreign),
        spaces=spaces(prompt.strip(), literal=literal),
        indents=indents(prompt),
        end="" if adds_nothing(between.end, found.tokens, found.marks, core, foreign) else between.end,
        literal=prompt.strip() if literal else "",
        strange=frozenset([t for t in known if not t.isascii()]) or _NOTHING,
        hidden=hidden(prompt),
        core=core,
        framed="" if literal or foreign else framed(prompt),
        sentences=1 + sum(mark in _STOPS for mark in found.marks[1:] if mark),
        foreign=foreign,
    )


def _is_idle(found: TokenList, index: int) -> bool:
    """Whether a negator turns nothing: "why don't you", "isn't it", "no. 5", "not only"."""
    token = found.tokens[index]
    before = found.tokens[index - 1] if index else ""
    after = found.tokens[index + 1] if index + 1 < len(found.tokens) else ""
    if token == "no" and (after == "\0number" or (index == 0 and found.marks[1:2] == [","])):
        return True
    if token == "not":
        if after in ("only", "just", "sure"):
            return True
        opens = index == 1 and before in (
            "is",
            "are",
            "do",
            "does",
            "did",
            "was",
            "were",
            "should",
            "would",
            "have",
        )
        return opens or before == "or" or after == ""  # "isn't it ...", "... or not?"
    return token == "never" and after == "mind"


def _foreign(words: frozenset[str]) -> bool:
    strange = len(words & FOREIGN) + len([word for word in words if not word.isascii() and max(word) > "\u024f"])
    return strange > len(words & FUNCTION_WORDS)
