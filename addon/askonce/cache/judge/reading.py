"""A prompt read once into what the guards and the judge compare: numbers, names, negations, roles, content words.

`read` is pure and remembered, so that a stored prompt is read only the first time it is a candidate. Nothing here
compares.
"""

import re
from bisect import bisect_left
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import gcd

from askonce.cache.judge.casing import NO_CASE, Cased, cased
from askonce.cache.judge.characters import NO_SIGNS, Signs, composed, hidden, indents, signs, spaces
from askonce.cache.judge.lexicon import (
    ABOUT_TEXT,
    ACTIONS,
    CONTRACTIONS,
    FILLERS,
    FOREIGN,
    FRACTIONS,
    FUNCTION_WORDS,
    GRAMMAR,
    MONTHS,
    MULTIPLES,
    NEGATORS,
    NUMBER_WORDS,
    PREPOSITIONS,
    SCALES,
    SCOPES,
    UNITS,
    VERBS,
    stem,
)
from askonce.cache.judge.plain_form import plain

__all__ = ["Number", "Reading", "Word", "is_about_text", "read"]

_TOKEN = re.compile(
    r"""
      (?P<code>```.*?```|`[^`\n]+`)
    | (?P<quote>"[^"\n]{1,400}"|“[^”\n]{1,400}”|«[^»\n]{1,400}»|(?<![\w)])'[^'\n]{2,400}'(?!\w))
    | (?P<link>https?://\S+|www\.\S+|[\w.+-]+@[\w-]+\.[\w.]+)
    | (?P<date>\b\d{4}-\d{1,2}-\d{1,2}\b|\b\d{1,2}[/.]\d{1,2}[/.]\d{2,4}\b)
    | (?P<version>\bv\d+(?:\.\d+)*\b|\b\d+(?:\.\d+){2,}\b)
    | (?P<time>\b\d{1,2}:\d{2}(?::\d{2})?(?:\s?[ap]\.?m\b)?|\b\d{1,2}\s?[ap]\.?m\b)
    | (?P<symbol>\b[A-Za-z]\+\+|\b[CFJcfj]\#|\.NET\b|\b[A-Za-z]+\.(?:js|py|io|ai|net)\b)
    | (?P<number>(?:(?<=\s)[-−])?[$€£¥₹]?\d+(?:,\d{2,3})*(?:\.\d+)?(?:\s?/\s?\d+)?(?P<tail>%|°[CF]?|[A-Za-z][\w-]*)?)
    | (?P<word>[^\W\d_]+(?:[’'][^\W\d_]+)*(?:[-_]?\d[\w-]*)?)
    | (?P<mark>[.,;:?!/()\n_]|[^\w\s])
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_AMOUNT = re.compile(r"([-−])?([$€£¥₹])?([\d,]+(?:\.\d+)?)(?:\s?/\s?(\d+))?(.*)", re.DOTALL)
_PADDED = re.compile(r"0\d.*|.*\..*0")
"""Zeros that say something: agent 007, Python 3.10."""
_DIGITS = 100
"""More are no amount, and Python refuses to read thousands of them."""
_SHADOWED = {"US": "usa", "IT": "infotech", "WHO": "w.h.o", "Go": "golang"}
"""Names that would be grammar in lower case."""
_STOPS = frozenset(".?!\n")
_DIGIT = re.compile(r"\d")
_LONG = {"n't": "not", "'re": "are", "'ll": "will", "'ve": "have", "'m": "am", "'d": "would", "'s": ""}
_BE, _ARTICLES, _LINKS, _OPINION = GRAMMAR["be"], GRAMMAR["article"], GRAMMAR["link"], GRAMMAR["opinion"]
_BEFORE_INFINITIVE = GRAMMAR["before-infinitive"]


@dataclass(frozen=True, slots=True)
class Word:
    """One content word."""

    text: str
    """Lower case, as written."""
    stem: str
    role: str
    """The preposition that governs it, or empty; `of` stands also for a possessive."""
    group: int
    """Words joined by "and", "or" or a comma share it; -1 for the rest."""
    rank: int
    """Its place once a passive is turned active."""
    passive: bool
    """A participle after a form of "be"."""


@dataclass(frozen=True, slots=True)
class Number:
    """One quantity."""

    value: Fraction | str
    """Exact where it is a number; the normal form of a date, time, version or ordinal otherwise."""
    unit: str
    counts: str
    """Stem of the content word that it counts: the next one within three words, else the one before."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one prompt says, by the facets that guards compare."""

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
    sentences: int = 1
    foreign: bool = False
    """Not English: read word by word only."""


@lru_cache(maxsize=16384)
def read(prompt: str, *, literal: bool = False) -> Reading:
    """Reads one prompt, a few tens of microseconds for a line; remembered.

    `literal`: it is known to be about its own text; else its words are asked.
    """
    if not prompt.isascii():
        prompt = composed(prompt)
    return _Reader(_bare(prompt) if literal else question(prompt)).reading(literal=literal)


def question(prompt: str) -> str:
    """What a prompt asks, in its plain form, without greetings and thanks."""
    return plain(_bare(prompt))


def _bare(prompt: str) -> str:
    return _THANKS.sub("", _GREETING.sub("", prompt)) or prompt


def is_about_text(prompt: str) -> bool:
    """Whether a prompt may ask about how a text is written."""
    return not ABOUT_TEXT.isdisjoint(prompt.lower().replace("?", " ").replace(".", " ").replace(":", " ").split())


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


class _Reader:
    """The state of one pass over a prompt."""

    def __init__(self, prompt: str) -> None:
        self.tokens: list[str] = []
        self.marks: list[str] = []  # the mark before each token
        self.capital: list[bool] = []
        self.numbers: list[tuple[int, Fraction | str, str]] = []  # with the token index they precede
        self.spans: list[str] = []
        self.ids: list[str] = []
        self.found: list[tuple[int, int]] = []  # each mark's place, and the tokens before it
        self.prompt = prompt
        mark = "."
        titled = _titled(prompt)
        for found in _TOKEN.finditer(prompt):
            kind, text = found.lastgroup, found.group()
            if kind == "tail":
                kind = "number"
            if kind == "mark":
                if text != "\n":
                    self.found.append((found.start(), len(self.tokens)))
                if text in "’'\"“”‘_":
                    continue
                mark = mark if text in ",-" and mark in ".!?\n" else text
                continue
            start = mark != "" and mark in ".?!\n:"
            if kind == "word":
                self._word(
                    text,
                    mark,
                    not titled and text[0].isupper() and not (start and len(text) > 1 and not text.isupper()),
                )
            elif kind == "number":
                self._number(text, found.group("tail") or "", mark)
            elif kind in ("code", "quote"):
                self.spans.append(text[1:-1] if text[0] in '"“' else text)
                inner = " ".join(text.strip("`\"'“”«»").split())
                self._push(inner.lower() if len(inner) < 40 else "\0span", mark, False)
            elif kind == "symbol":
                self._push(text.lower(), mark, False)
            else:
                normal = re.sub(r"\s|\.(?=m)", "", text.lower()).rstrip(".,;:!?)")
                if kind in ("date", "time") and text.isascii():
                    self.numbers.append((len(self.tokens), _clock(normal) if kind == "time" else normal, kind))
                else:
                    self.ids.append(normal.removeprefix("v") if kind == "version" else text.rstrip(".,;:!?)"))
                self._push("\0" + (kind or ""), mark, False)
            mark = ""

    def _push(self, token: str, mark: str, capital: bool) -> None:
        self.tokens.append(token)
        self.marks.append(mark)
        self.capital.append(capital)

    def _word(self, text: str, mark: str, capital: bool) -> None:
        if text in _SHADOWED:
            self._push(_SHADOWED[text], mark, True)
            return
        lower = text.lower().replace("’", "'")
        if not lower.isalpha() and _DIGIT.search(lower):
            self.ids.append(lower.replace("-", "").replace("_", ""))
            self._push(lower, mark, capital)
            return
        if lower in CONTRACTIONS:
            for part in CONTRACTIONS[lower]:
                self._push(part, mark, False)
                mark = ""
            return
        if "'" in lower:
            head, _, tail = lower.partition("'")
            if lower.endswith("n't"):
                self._push({"ca": "can", "wo": "will", "sha": "shall"}.get(lower[:-3], lower[:-3]), mark, False)
                self._push("not", "", False)
                return
            self._push(head, mark, capital)
            if tail == "s":
                self._push("'s", "", False)
            elif "'" + tail in _LONG:
                self._push(_LONG["'" + tail], "", False)
            else:
                self._push(tail, "", capital)
            return
        self.tokens.append(lower)
        self.marks.append(mark)
        self.capital.append(capital)

    def _number(self, text: str, tail: str, mark: str) -> None:
        sign, money, digits, under, _rest = _AMOUNT.fullmatch(text).groups()  # type: ignore[union-attr]
        lower = tail.lower()
        plain = digits.replace(",", "")
        if len(plain) > _DIGITS or not digits.isascii():
            self.ids.append(text)
            self._push(text, mark, False)
            return
        amount = Fraction(int(plain) if plain.isdecimal() else plain)  # it takes five times as long over text
        value: Fraction | str = -amount if sign else amount
        unit = UNITS.get(money, "gbp" if money == "£" else "")
        if under and int(under):
            # "6/8" is no 3/4: it is a time signature, a score, a date.
            lowest = lower or (amount.denominator == 1 and gcd(int(amount), int(under)) == 1)
            value = (-amount if sign else amount) / int(under) if lowest else f"{sign or ''}{digits}/{under}"
        if lower in ("st", "nd", "rd", "th"):
            value = f"{digits}th"
        elif lower in ("%", "percent"):
            value, unit = value / 100, ""  # type: ignore[assignment, operator]
        elif lower in SCALES:
            value *= SCALES[lower]
        elif lower in UNITS:
            unit = UNITS[lower]
        elif lower.startswith("°"):
            unit = {"c": "celsius", "f": "fahrenheit"}.get(lower[1:], "degree")
        elif lower:
            self.ids.append((digits + lower).replace("-", ""))
            self._push(text.lower(), mark, False)
            return
        elif not money and not under and _PADDED.fullmatch(plain):
            value = f"{'-' if sign else ''}{plain}"
        self.numbers.append((len(self.tokens), value, unit))
        self._push("\0number", mark, False)

    def reading(self, *, literal: bool) -> Reading:
        literal = literal or not ABOUT_TEXT.isdisjoint(self.tokens)
        prompt, size = self.prompt, len(self.tokens)
        between = signs(prompt, self.found, self.tokens)
        owners = tuple(size - at for at, token in enumerate(self.tokens) if token == "'s")
        self._spelled_numbers()
        words, positions = self._content()
        tokens = tuple([t for t in self.tokens if t and t[0] not in "\0'"])
        stems = [word.stem for word in words]
        negated = []
        for index, token in enumerate(self.tokens):
            if token in NEGATORS and not self._idle_negator(index):
                after = next((s for s, p in zip(stems, positions, strict=True) if p > index), "")
                negated.append(after)
        numbers = []
        for index, value, unit in self.numbers:
            place = bisect_left(positions, index)
            counts = (
                stems[place]
                if place < len(stems) and positions[place] - index <= 3
                else stems[place - 1]
                if place
                else ""
            )
            following = self.tokens[index + 1] if index + 1 < len(self.tokens) else ""
            if following in ("percent", "percentage") and isinstance(value, Fraction):
                value = value / 100
            elif not unit:
                unit = UNITS.get(following, "")
            numbers.append(Number(value, unit, counts))
        question, lead = _question(self.tokens, self.marks)
        known = frozenset(tokens)
        core, foreign = _core(tokens), _foreign(known)
        return Reading(
            words=tuple(words),
            numbers=tuple(numbers),
            spans=tuple(self.spans),
            ids=tuple(self.ids),
            negated=tuple(negated),
            names=tuple(
                t
                for t, c in zip(self.tokens, self.capital, strict=True)
                if c and t not in FUNCTION_WORDS and t not in UNITS
            ),
            tokens=tokens,
            question=question,
            lead=lead,
            stems=frozenset(stems),
            order=tuple(dict.fromkeys(stems)),
            token_set=known,
            scopes=frozenset(SCOPES[t] for t in known & _SCOPE_WORDS),
            units=frozenset(UNITS[t] for t in known & _UNIT_WORDS),
            between=between,
            body=size - (len(tokens) - len(core)) if len(core) < len(tokens) else size + 1,
            owners=owners,
            cased=cased(prompt, literal=literal, foreign=foreign),
            spaces=spaces(prompt.strip(), literal=literal),
            indents=indents(prompt),
            end="" if _adds_nothing(between.end, self.tokens, self.marks, core, foreign) else between.end,
            literal=prompt.strip() if literal else "",
            strange=frozenset([t for t in known if not t.isascii()]),
            hidden=hidden(prompt),
            core=core,
            sentences=1 + sum(mark in _STOPS for mark in self.marks[1:] if mark),
            foreign=foreign,
        )

    def _idle_negator(self, index: int) -> bool:
        """Whether a negator turns nothing: "why don't you", "isn't it", "no. 5", "not only"."""
        token = self.tokens[index]
        before = self.tokens[index - 1] if index else ""
        after = self.tokens[index + 1] if index + 1 < len(self.tokens) else ""
        if token == "no" and (after == "\0number" or (index == 0 and self.marks[1:2] == [","])):
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

    def _spelled_numbers(self) -> None:
        """Finds "twenty five", "three quarters", "two dozen", "5 million", "half", and month names as numbers."""
        digit = {index: at for at, (index, value, _) in enumerate(self.numbers) if isinstance(value, Fraction)}
        index, tokens, added = 0, self.tokens, []
        while index < len(tokens):
            token = tokens[index]
            start, value = index, None
            if index in digit:
                value = self.numbers[digit[index]][1]
                index += 1
            elif token in NUMBER_WORDS:
                value = Fraction(0)
                while index < len(tokens) and (tokens[index] in NUMBER_WORDS or tokens[index] == "hundred"):
                    step = NUMBER_WORDS.get(tokens[index], 100)
                    value = (
                        value * 100
                        if tokens[index] == "hundred"
                        else value * 12
                        if step == 12 and value
                        else value + step
                    )
                    index += 1
            elif (
                token in ("a", "an")
                and index + 1 < len(tokens)
                and tokens[index + 1] in SCALES
                and len(tokens[index + 1]) > 2
            ):
                value, index = Fraction(1), index + 1
            elif token in MULTIPLES:
                value, index = MULTIPLES[token], index + 1
            elif (token in MONTHS and token not in ("may", "mar", "sep", "dec", "march", "jan")) or (
                token == "may" and self.capital[index]
            ):
                added.append((index, f"month {MONTHS[token]}", "date"))
                index += 1
                continue
            else:
                index += 1
                continue
            if index < len(tokens) and tokens[index] in FRACTIONS and start not in digit and value:
                value, index = value / FRACTIONS[tokens[index]], index + 1  # type: ignore[assignment, operator]
            while index < len(tokens) and (
                (tokens[index] in SCALES and len(tokens[index]) > 1) or tokens[index] == "dozen"
            ):
                value *= SCALES.get(tokens[index], 12)
                index += 1
            if start in digit:
                at = digit[start]
                self.numbers[at] = (start, value, self.numbers[at][2])
            elif value != 1:
                added.append((start, value, ""))  # type: ignore[arg-type]
                for place in range(start, index):
                    tokens[place] = "\0number"
        if added:
            self.numbers = sorted([*self.numbers, *added], key=lambda item: item[0])

    def _content(self) -> tuple[list[Word], list[int]]:
        """The content words with their roles, and where among the tokens they stand."""
        tokens, marks = self.tokens, self.marks
        texts: list[str] = []
        roles: list[str] = []
        groups: list[int] = []
        positions: list[int] = []
        role, group, joined, agent_at, verb_at = "", -1, False, -1, -1
        for index, token in enumerate(tokens):
            mark = marks[index]
            if mark:
                role = role if mark in "/-&" else ""
                if mark in ",/" and texts and positions[-1] == index - 1:
                    joined = True
            if token in _LINKS:
                joined = bool(texts)
                continue
            if token == "'s":
                if texts:
                    roles[-1] = roles[-1] or "of"
                continue
            if token in PREPOSITIONS:
                role = self._preposition(index, token)
                if (
                    token == "by"
                    and texts
                    and verb_at < 0
                    and _participle(texts[-1])
                    and any(t in _BE for t in tokens[:index])
                ):
                    agent_at, verb_at = len(texts), len(texts) - 1
                joined = False
                continue
            if not token or token[0] == "\0" or token in FUNCTION_WORDS or token in NEGATORS:
                if token not in _ARTICLES and token not in ("not", "very") and token[:1] != "\0":
                    role, joined = "", joined and token in FUNCTION_WORDS
                continue
            if joined and texts and index - positions[-1] <= 4:
                if groups[-1] < 0:
                    group += 1
                    groups[-1] = group
                groups.append(groups[-1])
                role = role or roles[-1]
            else:
                groups.append(-1)
            joined = False
            if (
                token in _OPINION
                and texts
                and index + 1 < len(tokens)
                and tokens[index + 1] in ("is", "are", "that", "will", "was")
            ):
                for back in range(len(texts)):
                    roles[back] = roles[back] or "according"
                groups.pop()
                continue
            texts.append(token)
            roles.append(role)
            positions.append(index)
        ranks = list(range(len(texts)))
        if 0 <= verb_at < agent_at < len(texts):
            end = next((i for i in range(agent_at, len(texts)) if roles[i] != "by"), len(texts))
            first = next((i for i in range(verb_at, -1, -1) if i == 0 or roles[i - 1]), 0)
            order = [*range(first), *range(agent_at, end), verb_at, *range(first, verb_at), *range(end, len(texts))]
            ranks = [order.index(i) for i in range(len(texts))]
            for i in range(agent_at, end):
                roles[i] = ""
        passive = [
            _participle(t) and not _BE.isdisjoint(tokens[max(0, p - 4) : p])
            for t, p in zip(texts, positions, strict=True)
        ]
        parts = zip(texts, roles, groups, ranks, passive, strict=True)
        words = [Word(t, stem(t), r, g, k, v) for t, r, g, k, v in parts]
        return words, positions

    def _preposition(self, index: int, token: str) -> str:
        before = self.tokens[index - 1] if index else ""
        after = self.tokens[index + 1] if index + 1 < len(self.tokens) else ""
        if token == "to":
            if before == "according":
                return "according"
            if (
                after not in _ARTICLES
                and not (after and after[0] == "\0")
                and (before in _BEFORE_INFINITIVE or stem(after) in VERBS)
            ):
                return ""
        return "to" if token == "into" else token


_TITLE_WORD = re.compile(r"(?<=[a-z,] )(?:Is|Are|The|Of|In|To|For|And|What|How|Do|Does|You|My|With|On)\b")


def _titled(prompt: str) -> bool:
    """Whether capitals say nothing, because every word has them."""
    return prompt.isupper() or _TITLE_WORD.search(prompt) is not None


_PLAIN_PARTICIPLES = GRAMMAR["participle"]


def _participle(word: str) -> bool:
    if word in _PLAIN_PARTICIPLES or (word.endswith("ed") and len(word) > 4):
        return True
    return stem(word) != word and stem(word) in VERBS and not word.endswith(("s", "ing"))


_OPENINGS = re.compile(
    r"""^(?:(?:please|kindly|so|well|okay|just\ curious
    |i\ have\ a\ question|i\ (?:was|am)\ (?:just\ )?wondering(?:\ if)?|i\ (?:would|want)\ (?:like\ )?to\ know
    |(?:can|could|would)\ (?:you|someone|anyone|anybody|somebody)\ (?:please\ )?(?:tell|help)\ me
    |do(?:es)?\ (?:you|anyone|anybody|someone)\ know|please\ tell\ me)\ )+""",
    re.VERBOSE,
)
_HOW = re.compile(
    r"""^(?:how\ (?:to|(?:do|can|could|would|does|might|may)\ (?:i|you|we|one|someone|somebody|a\ person))
    |what\ (?:is|are|would\ be)\ (?:the|a|some)\ (?:best\ |easiest\ |right\ |good\ |simplest\ )?
        (?:ways?|methods?)\ (?:to|of|for)
    |(?:is\ there|are\ there)\ (?:a|any)\ ways?\ to)\ """,
    re.VERBOSE,
)


def _core(tokens: tuple[str, ...]) -> tuple[str, ...]:
    text = _OPENINGS.sub("", " ".join(tokens) + " ").strip()
    return tuple(_HOW.sub("how to ", text + " ").split())


_SCOPE_WORDS = frozenset(SCOPES)
_UNIT_WORDS = frozenset(word for word in UNITS if len(word) > 1)


def _foreign(words: frozenset[str]) -> bool:
    strange = len(words & FOREIGN) + len([word for word in words if not word.isascii() and max(word) > "\u024f"])
    return strange > len(words & FUNCTION_WORDS)


def _clock(text: str) -> str:
    first, *rest = text.rstrip("apm.").split(":")
    hour = int(first)
    if text.endswith("m"):
        hour = hour % 12 + (12 if text[-2] == "p" else 0)
    return ":".join([str(hour), *(rest or ["00"])])


_ASKING, _AUXILIARIES = GRAMMAR["asking"], GRAMMAR["auxiliary"]
_OPENERS = _ASKING | _AUXILIARIES
_MEASURES, _SUBJECTS = GRAMMAR["measure"], GRAMMAR["subject"]


def _adds_nothing(end: str, tokens: list[str], marks: list[str], core: tuple[str, ...], foreign: bool) -> bool:
    """Whether the mark at the end only repeats what the words say: a question's, an order's, a full stop."""
    if end == "." or not end:
        return True
    if foreign or not core:
        return False
    if end == "!":
        return (stem(core[0]) in VERBS or stem(core[0]) in ACTIONS) and ":" not in marks
    start = max(at for at, mark in enumerate(marks) if at == 0 or (mark and mark in ".?!"))
    opens = [core[0]] + [t for t, m in zip(tokens[start:], marks[start:], strict=True) if m or t is tokens[start]]
    if not _OPENERS.isdisjoint(opens):
        return end == "?" or core[-1] not in FUNCTION_WORDS  # "what does it do with ?"
    if end != "?":
        return False
    # Without a verb that has a subject it states nothing: "best phone under 500".
    return _AUXILIARIES.isdisjoint(tokens) and _SUBJECTS.isdisjoint(tokens)


def _question(tokens: list[str], marks: list[str]) -> tuple[str, str]:
    """The type of the last question in the prompt and its leading auxiliary."""
    best, lead = "", ""
    for index, token in enumerate(tokens):
        opens = (
            index == 0 or marks[index] not in ("",) or tokens[index - 1] in ("and", "but", "so", "then", "hi", "hello")
        )
        after = tokens[index + 1] if index + 1 < len(tokens) else ""
        before = tokens[index - 1] if index else ""
        if token in _ASKING and (
            opens or before in PREPOSITIONS or before in FILLERS or before in ("me", "us", "out", "not", "is")
        ):
            kind = "who" if token in ("who", "whom", "whose") else "what" if token == "which" else token
            if (
                token == "how"
                and after
                and after not in FUNCTION_WORDS
                and after not in FILLERS
                and not after.endswith("ly")
            ) or (token == "how" and after in _MEASURES):
                kind = f"how {after}"
            elif token == "how" and after == "come":
                kind = "why"
            elif token == "what":
                nouns = tokens[index + 1 : index + 5]
                if "time" in nouns[:1] or "date" in nouns[:3] or ("year" in nouns[:2]):
                    kind = "when"
                elif "reason" in nouns or "reasons" in nouns:
                    kind = "why"
                elif {"way", "ways", "method", "steps", "procedure", "process"} & set(nouns):
                    kind = "how"
                elif "for" in tokens[-1:]:
                    kind = "why"
            if not best or best == "yes/no" or kind not in ("what",):
                best = kind
            if after in _AUXILIARIES:
                lead = lead or after
        elif token in _AUXILIARIES and opens and not best:
            best, lead = "yes/no", token
            tail = tokens[index + 1 : index + 6]
            if token in ("is", "are") and "there" in tail[:1] and {"way", "ways"} & set(tail):
                best = "how"
    return best, lead
