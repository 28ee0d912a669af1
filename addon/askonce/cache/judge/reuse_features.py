"""What of a prompt tells whether its answer may be given again: the words that ask, in the order in which they stand.

One rule: what is quoted, and a document that the question is about, says nothing of the question, so both are left out.
Words that are rare stand as "*": how something is asked is learned in one domain and holds in every other.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from askonce.cache.judge.lexicon import FUNCTION_WORDS, GRAMMAR, REUSE_CLASSES

__all__ = ["END", "NAME", "START", "Names", "asked", "features", "tokens", "words"]

_SHORT = 200
"""Characters of a paragraph that may be the question beside a document."""
_EDGE = 100
"""Characters at both ends of a prompt without such a paragraph."""
_MOST = 30
"""Words at each end of a longer question."""
_NGRAM = 4
_QUOTED = re.compile(r'"[^"\n]{3,}"|“[^”\n]{3,}”|«[^»\n]{3,}»|„[^“”\n]{3,}[“”]|`[^`]+`|(?<!\w)\'[^\'\n]{3,}\'(?!\w)')
_QUOTE = re.compile("[\"“«„`']")
_TOKEN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+|[?!.,:;\n\"]")
_POINTING, _SELF = GRAMMAR["pointing"], GRAMMAR["self"]
_SPECIFIC, _OPENING = GRAMMAR["specific"], GRAMMAR["opening"]
START, END, NAME, NUMBER, RARE = "^", "$", "n_", "#", "*"
_TAGGED = "C"
"""Before neighbours of which each stands as its class, where it has one."""
_ALWAYS = frozenset({START, END, NAME, NUMBER})


def asked(prompt: str) -> str:
    """The part of a prompt that asks, each quotation in it as a mark."""
    text = prompt
    if len(prompt) > _SHORT or "\n" in prompt:
        ends = [text for text in dict.fromkeys(_ends(prompt)) if len(text) <= _SHORT]
        questions = [text for text in ends if text.rstrip().endswith("?")]
        if len(ends) == 2 and len(questions) == 1:
            ends = questions
        text = " \n ".join(ends) if ends else f"{prompt[:_EDGE]} \n {prompt[-_EDGE:]}"
    unquoted = _QUOTED.sub(' " ', text) if _QUOTE.search(text) else text
    return unquoted if len(unquoted.strip(' ".\n')) > 3 else prompt[: 2 * _SHORT]


def _ends(prompt: str) -> tuple[str, str]:
    """The first and the last paragraph that is not blank, without a look at those between: a document may be long."""
    blank, worded = len(prompt) - len(prompt.lstrip()), len(prompt.rstrip())
    return (_paragraph(prompt, blank), _paragraph(prompt, worded - 1)) if worded else (prompt, prompt)


def _paragraph(prompt: str, at: int) -> str:
    """The one in which a character stands."""
    start, end = prompt.rfind("\n", 0, at) + 1, prompt.find("\n", at)
    return prompt[start:] if end < 0 else prompt[start:end]


def tokens(prompt: str) -> list[str]:
    """The words, numbers and marks of what asks, as they are written."""
    return _TOKEN.findall(asked(prompt))


def words(told: Iterable[str]) -> list[str]:
    """Tokens in lower case; numbers as "#"."""
    return [NUMBER if token.isdigit() else token.lower().replace("’", "'") for token in told]


class Names:
    """Names word by word, so that those in a text are found without putting any together."""

    __slots__ = ("following", "name")

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.following: dict[str, Names] = _NOTHING
        """What may follow the words so far."""
        self.name = ""
        """The name that is whole here; empty where none is."""
        for name in names:
            last = self
            for word in name.split(" "):
                last = last._then(word)
            last.name = name

    def _then(self, word: str) -> "Names":
        if not self.following:
            self.following = {}
        return self.following.setdefault(word, Names())


_NOTHING: dict[str, Names] = {}


def features(
    told: Sequence[str], known: Collection[str], *, lower: Sequence[str] | None = None, names: Names | None = None
) -> set[str]:
    """What is seen in a prompt's tokens, by name, where the words in `known` are those that are not rare.

    `lower` are the `words` of `told`, where they are at hand. `names` are those of the neighbours that matter: no
    others are told.
    """
    named = _named(told, words(told) if lower is None else lower, known)
    seen = [token if token in known or token in _ALWAYS else RARE for token in named]
    classes = [() if token in FUNCTION_WORDS else REUSE_CLASSES.get(token, ()) for token in named]
    says = [token != RARE for token in seen]
    found = set(_ngrams(seen, says)) if names is None else _named_ngrams(seen, says, names.following)
    present = {name for some in classes for name in some}
    if present:
        tagged = [some[0].upper() if some else token for some, token in zip(classes, seen, strict=True)]
        says = [bool(some) for some in classes]
        if names is None:
            found.update(f"{_TAGGED} {gram}" for gram in _ngrams(tagged, says))
        elif of_classes := names.following.get(_TAGGED):
            found |= _named_ngrams(tagged, says, of_classes.following)
    found.update(_frame(named, seen, classes, present))
    return found


def _named(told: Sequence[str], lower: Sequence[str], known: Collection[str]) -> list[str]:
    """The words between a start and an end; a capitalised one that is neither known nor in a class is a name."""
    if len(told) > 2 * _MOST:
        told, lower = ([*some[:_MOST], *some[-_MOST:]] for some in (told, lower))
    found = [START]
    for token, word in zip(told, lower, strict=True):
        is_name = token[0].isupper() and len(found) > 1 and word not in known and word not in REUSE_CLASSES
        found.append(NAME if is_name else word)
    return [*found, END]


def _ngrams(line: Sequence[str], says: Sequence[bool]) -> Iterator[str]:
    """Up to four neighbours, of which one at least says something."""
    for start in range(len(line)):
        for end in range(start + 1, min(start + _NGRAM, len(line)) + 1):
            if any(says[start:end]):
                yield " ".join(line[start:end])


def _named_ngrams(line: Sequence[str], says: Sequence[bool], names: Mapping[str, Names]) -> set[str]:
    """Those of them that have a name."""
    found, last = set[str](), len(line) - 1
    for start, first in enumerate(line):
        step, place, told = names.get(first), start, False
        while step:
            told = told or says[place]
            if told and step.name:
                found.add(step.name)
            if place == last:
                break
            place += 1
            step = step.following.get(line[place])
    return found


def _frame(
    named: Sequence[str], seen: Sequence[str], classes: Sequence[Sequence[str]], present: Collection[str]
) -> Iterator[str]:
    """How it opens, who asks, what it points to, beside the classes in it, wherever they stand."""
    at = 0
    while at < len(named) - 2 and named[at] in _OPENING:
        at += 1
    first, two = seen[at], f"{seen[at]} {seen[at + 1]}"
    kind = classes[at][0] if classes[at] else "-"
    held = set(named)
    own = not _SELF.isdisjoint(held)
    one = not _SPECIFIC.isdisjoint(held)
    yield from (f"F {first}", f"F {two}", f"F {kind}", f"L {kind} {one:d}", f"L {first} {own:d}", f"L {two} {own:d}")
    yield f"L {kind} {own:d} {'?' in held:d}"
    yield f"LL {kind} {one:d} {NUMBER in held:d} {NAME in held:d}"
    for name in present:
        yield from (f"P {name}", f"X {own:d} {name}", f"X {first} {name}", f"X {two} {name}", f"X {kind} {name}")
    content = min(
        5, sum(token in (NAME, RARE) or (token[0].isalpha() and token not in FUNCTION_WORDS) for token in named)
    )
    points = _POINTING & held
    yield from (f"A {content} {bool(points):d}", f"A {content} {first}", f"N {min(len(named) // 3, 8)}")
    for word in points:
        yield f"A {content} {word}"
