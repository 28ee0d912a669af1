"""The characters of a prompt beside its letters and digits: which count, which nobody sees, which are only prose.

One rule: a character that no table here has counts as it stands. The tables name what may differ between two prompts of
the same words, and each says why that is nothing; where a prompt is about its own text, none of them is looked at.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from askonce.cache.judge.lexicon import GRAMMAR, PREPOSITIONS

__all__ = ["NO_SIGNS", "Signs", "composed", "hidden", "indents", "signs", "spaces"]


def composed(text: str) -> str:
    """The text in NFC: what Unicode calls canonically equivalent is the same text. Never NFKC, for which ² is 2."""
    return unicodedata.normalize("NFC", text)


def hidden(text: str) -> str:
    """Which character of the text a reader does not see or know ("U+200B zero width space"), or empty.

    Default-ignorable and control characters, private use, surrogates, and what this Python's Unicode has not assigned.
    Not those that writing needs where they stand: joiners between letters of scripts that join, or between two emoji,
    and the selector of a symbol's colour. They count as signs.
    """
    if text.isprintable() and (text.isascii() or not _SEEN_BY_NOBODY.search(text)):
        return ""
    left = text if text.isascii() else _JOINED.sub("", text)
    found = next(
        (c for c in left if not c.isprintable() and c not in "\n\r\t" and unicodedata.category(c)[0] != "Z"), ""
    )
    if not found:
        odd = _SEEN_BY_NOBODY.search(left)
        found = odd.group() if odd else ""
    if not found:
        return ""
    category = unicodedata.category(found)
    return f"U+{ord(found):04X} {unicodedata.name(found, _UNNAMED.get(category, category)).lower()}"


_UNNAMED = {"Cc": "control character", "Cn": "unassigned", "Co": "private use", "Cs": "surrogate"}


_SEEN_BY_NOBODY = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Those default-ignorable code points (Unicode's DerivedCoreProperties) that Python calls printable, the joiners, and
the empty Braille pattern."""
_JOINS = "\u0600-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u17b3\u17b6-\u17dd\u1820-\u18af\ufb50-\ufdff\ufe70-\ufefc"
"""Arabic, Syriac, the scripts of India, Tibetan, Burmese, Khmer, Mongolian: where a joiner changes the word."""
_PICTURE = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u27bf\u2900-\u2bff"
    "\u3030-\u303d\u3297\u3299\U0001f000-\U0001faff"
)
"""Where Unicode has emoji and the symbols that have a coloured form."""
_JOINED = re.compile(
    f"(?<=[{_JOINS}])[\u200c\u200d](?=[{_JOINS}])"
    f"|(?<=[{_PICTURE}])[\ufe0e\ufe0f](?:\u200d(?=[{_PICTURE}]))?|(?<=[{_PICTURE}])\u200d(?=[{_PICTURE}])"
    "|(?<=[0-9#*])\ufe0f(?=\u20e3)"
)
"""One joiner or selector where it belongs; a second one after it has nothing to do there."""


@dataclass(frozen=True, slots=True)
class Signs:
    """What stands between the words of one prompt."""

    signs: tuple[str, ...] = ()
    """What is no prose: operators, emoji, combining marks; marks that stand alone, before a word or side by side."""
    marks: tuple[tuple[int, str], ...] = ()
    """Punctuation of prose, each with how many tokens follow it. It counts between prompts of the same words."""
    end: str = ""
    """The mark that ends the prompt; with the blank before it, if there is one."""


NO_SIGNS = Signs()

_CLOSED = re.compile(r"""[)"”’'»]*+(?:\.?[,;:?!]|\.)?+[)"”’'»]*+|\.{2,3}|…""")
"""What may follow a word in prose, before a blank."""
_OPENED = re.compile(r"""[("“‘'«]+""")
_WITHIN = frozenset("-/.:,–'’")
"""May stand between two letters in prose."""
_DASHES = frozenset("-–—")
_CLAUSES = PREPOSITIONS | GRAMMAR["clause"]
"""Before these a comma is no more than a breath; before another word it may be a list, or somebody who is spoken to."""
_COMPOUND = 2
"""Letters that both parts of a compound have at least: "zero-sum" is "zero sum", but "x-y" is not "x y"."""


def signs(prompt: str, found: Iterable[tuple[int, int]], tokens: Sequence[str]) -> Signs:
    """Sorts the marks of a prompt, each given by its place and by how many of the `tokens` stand before it."""
    strong: list[str] = []
    weak: list[tuple[int, str]] = []
    end = ""
    size = len(prompt.rstrip())
    for start, stop, index in _runs(found):
        run = prompt[start:stop]
        before, after = prompt[start - 1 : start], prompt[stop : stop + 1]
        if stop == size and run == "?" and before == " " and prompt[start - 2].isalpha():
            end = " ?"
        elif run == "#" and before.isspace() and after.isdecimal():
            continue  # the number of a ticket, a page, a row
        elif not _in_prose(prompt, start, stop, last=stop == size) or (run[0] == "!" and _multiplies(prompt, start)):
            strong.append("-" if run == "−" and after.isdecimal() else run)
        elif stop == size and run in (".", "?", "!"):
            end = run
        elif not _says_nothing(run, before, after, tokens[max(0, index - 1) : index + 1]):
            weak.append((len(tokens) - index, run))
    return Signs(tuple(strong), tuple(weak), end)


def _runs(found: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """Marks that stand side by side are one: start, end, tokens before."""
    start, stop, at = -1, -1, 0
    for place, index in found:
        if place != stop and start >= 0:
            yield start, stop, at
        if place != stop:
            start, at = place, index
        stop = place + 1
    if start >= 0:
        yield start, stop, at


def _in_prose(prompt: str, start: int, stop: int, *, last: bool) -> bool:
    """Whether a run of marks stands where prose has it."""
    run, before, after = prompt[start:stop], prompt[start - 1 : start] if start else "", prompt[stop : stop + 1]
    left, right = not before or before.isspace(), not after or after.isspace()
    if left and right:
        around = prompt[max(0, start - 2) : start].strip(), prompt[stop : stop + 2].strip()
        return run in _DASHES and all(c and not c.isdecimal() for c in around)
    if left:
        return _OPENED.fullmatch(run) is not None
    if right:
        return _CLOSED.fullmatch(run) is not None or (last and not run.strip("?!"))
    return run in _WITHIN and before.isalnum() and after.isalnum()


def _multiplies(prompt: str, place: int) -> bool:
    """Whether a "!" there is a factorial, as far as what stands before it tells: a number, or a single letter."""
    before = prompt[place - 1 : place]
    return before.isdecimal() or (before.isalpha() and not prompt[: place - 1][-1:].isalnum())


def _says_nothing(run: str, before: str, after: str, tokens: Sequence[str]) -> bool:
    """Whether the words say the same without this mark of prose, which stands between two of the `tokens`."""
    if len(tokens) < 2:
        return False
    if run == ",":
        return after.isspace() and tokens[1] in _CLAUSES
    return run == "-" and before.isalpha() and all(len(t) >= _COMPOUND and t.isascii() and t.isalpha() for t in tokens)


_BLANK = re.compile(r"\s+")
_UNPLAIN = re.compile(r"[^\S ]")


def spaces(prompt: str, *, literal: bool) -> tuple[tuple[int, str], ...]:
    """White space that is more than a gap between two words, each with how many pieces of text follow it.

    In one line of prose two spaces are one. Where there are several lines, tabs or blanks of another sort, or where the
    prompt is about its own text, each counts.
    """
    if not literal and not _UNPLAIN.search(prompt):
        return ()
    found = [blank.group() for blank in _BLANK.finditer(prompt)]
    return tuple((len(found) - at, blank) for at, blank in enumerate(found) if blank != " ")


def indents(prompt: str) -> tuple[str, ...]:
    """What each line begins with, where one begins with a blank."""
    if "\n" not in prompt.rstrip():
        return ()
    found = tuple(line[: len(line) - len(line.lstrip())] for line in prompt.splitlines() if line.strip())
    return found if any(found) else ()
