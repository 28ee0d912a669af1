"""Word knowledge for the guards and the judge: what is opposite, what is of one kind, what means the same.

The words are in the text files beside this module, each of which says its form and its rule; `files` reads them and
`stemming` knows the forms of a word. One rule: the files are read once, here, into tables that nothing changes after.
"""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

from askonce.cache.judge.lexicon.files import LexiconError, groups, leaders, meanings, named, pairs, words
from askonce.cache.judge.lexicon.stemming import BASES, COMPARATIVES, IRREGULAR, stem

__all__ = [
    "ABBREVIATIONS",
    "ABOUT_TEXT",
    "ACTIONS",
    "ANTONYMS",
    "BASES",
    "COMPARATIVES",
    "CONTRACTIONS",
    "DEMONYMS",
    "DOUBLE_WORDS",
    "FILLERS",
    "FOREIGN",
    "FRACTIONS",
    "FRAMES",
    "FUNCTION_WORDS",
    "GRAMMAR",
    "IRREGULAR",
    "KINDS",
    "MONTHS",
    "MULTIPLES",
    "NAMES",
    "NEGATORS",
    "NUMBER_WORDS",
    "OPPOSITE_FUNCTION_WORDS",
    "ORDINARY",
    "PLAIN_FORMS",
    "PREPOSITIONS",
    "PRONOUNS",
    "REUSE_CLASSES",
    "REUSE_CUES",
    "REUSE_NOW",
    "SCALES",
    "SCOPES",
    "SIZES",
    "SPOKEN",
    "TENSES",
    "UNITS",
    "VERBS",
    "LexiconError",
    "are_synonyms",
    "stem",
]

_HERE = Path(__file__).parent


def _words(file: str) -> frozenset[str]:
    return frozenset(words(_HERE / file))


def _by_stem[M](found: Iterable[tuple[Iterable[str], M]]) -> dict[str, frozenset[M]]:
    """What each stem belongs to, of words with what they all belong to."""
    table: dict[str, frozenset[M]] = {}
    for members, what in found:
        only = frozenset((what,))
        for word in members:
            base = stem(word)
            known = table.get(base)
            table[base] = only if known is None else known | only
    return table


def _by_group(found: Iterable[list[str]]) -> dict[str, frozenset[int]]:
    """The numbers of the groups that each stem is in."""
    return _by_stem((group, number) for number, group in enumerate(found))


def _opposites(found: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
    opposites: dict[str, list[str]] = {}
    for one, other in found:
        left, right = stem(one), stem(other)
        if left != right:
            opposites.setdefault(left, []).append(right)
            opposites.setdefault(right, []).append(left)
    return {word: frozenset(others) for word, others in opposites.items()}


FUNCTION_WORDS = _words("function_words.txt")
"""Words that carry grammar, not the subject; guards read many of them on their own."""
PREPOSITIONS = _words("prepositions.txt")
GRAMMAR = {name: frozenset(members) for name, members in named(_HERE / "grammar.txt").items()}
"""Small classes of words, by name."""
FILLERS = _words("fillers.txt")
"""Words whose presence or absence changes no question by itself."""
FOREIGN = _words("foreign.txt")
"""Grammar words of other languages, where they cannot be taken for English ones."""
NEGATORS = _words("negators.txt")
"""Words that turn a statement round, in the languages that providers see most."""
VERBS = frozenset(map(stem, words(_HERE / "verbs.txt")))
"""Stems of common verbs, so that "to" before one is not a direction."""
CONTRACTIONS = {word: tuple(long) for word, long in named(_HERE / "contractions.txt").items()}
"""What is read for words that are typed in one."""
PRONOUNS = meanings(_HERE / "pronouns.txt", str)
"""Pronouns of the third person by who is meant in which role."""
TENSES = meanings(_HERE / "tenses.txt", str)
"""Auxiliaries by the tense or mood that they give a question."""
SCOPES = meanings(_HERE / "scopes.txt", str)
"""Quantifiers and limits by the scope that they say."""

DOUBLE_WORDS = _words("double_words.txt")
"""Words that are another word as a name: their capital counts at the beginning of a sentence, too."""
NAMES = _words("names.txt")
"""Names and abbreviations that are no other word in any case."""
ORDINARY = _words("ordinary.txt")
"""Nouns and adjectives that people write with a capital for weight ("Machine Learning"), and that are no name."""
ABOUT_TEXT = _words("about_text.txt")
"""Who uses one of these words may ask about the text itself: then whatever it is made of counts."""

NUMBER_WORDS = meanings(_HERE / "number_words.txt", int)
SCALES = meanings(_HERE / "scales.txt", int)
"""What the number before it is multiplied by."""
MULTIPLES = meanings(_HERE / "multiples.txt", Fraction)
"""Amounts that stand alone."""
FRACTIONS = meanings(_HERE / "fractions.txt", int)
"""Into how many parts the number before it is of."""
MONTHS = meanings(_HERE / "months.txt", int)
UNITS = leaders(_HERE / "units.txt")
"""Unit words by their canonical name."""

SIZES = {
    unit: (measure, Fraction(size))
    for measure, found in named(_HERE / "sizes.txt").items()
    for unit, size in (entry.split("=") for entry in found)
}
"""Units by what they measure, and how many of the smallest they are."""

ANTONYMS = _opposites(pairs(_HERE / "antonyms.txt"))
"""Stems by those that turn the question round."""
OPPOSITE_FUNCTION_WORDS = frozenset(map(frozenset, pairs(_HERE / "opposite_function_words.txt")))
KINDS = _by_stem((members, kind) for kind, members in named(_HERE / "kinds.txt").items())
"""Stems by the kinds of thing they name: two members of one kind are two different things."""
ACTIONS = {stem(word): first for word, first in leaders(_HERE / "actions.txt").items()}
"""Stems of what a prompt orders done with a text, by the group whose members may stand for each other."""
DEMONYMS = _by_group(groups(_HERE / "demonyms.txt", least=2))
"""Countries with the words for what is theirs, by group: the same name, though not the same thing."""
_SYNONYMS = _by_group(groups(_HERE / "aliases.txt", least=2) + groups(_HERE / "synonyms.txt", least=2))

REUSE_CUES = {phrase.replace("_", " "): kind for phrase, kind in meanings(_HERE / "reuse_cues.txt", str).items()}
"""Phrases of other languages than English by the kind of prompt that they tell."""


def _phrases(file: str) -> dict[str, frozenset[str]]:
    """Words and phrases by name."""
    return {
        name.replace("_", " "): frozenset(word.replace("_", " ") for word in members)
        for name, members in named(_HERE / file).items()
    }


SPOKEN = _phrases("spoken.txt")
"""What people say before they ask, by class."""
PLAIN_FORMS = _phrases("plain_forms.txt")
"""Longer or spoken ways to ask, by what is read in their place."""
ABBREVIATIONS = _phrases("abbreviations.txt")
"""The words that abbreviations stand for, by abbreviation."""
FRAMES = _phrases("frames.txt")
"""Questions as wholes, by the question that they are read as."""
REUSE_NOW = _phrases("reuse_now.txt")
"""What tells that an English question is about now, by name."""


def _classes() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, members in named(_HERE / "reuse_classes.txt").items():
        for word in members:
            found[word] = (*found.get(word, ()), name)
    return found


REUSE_CLASSES = _classes()
"""Words by the classes that tell whether an answer lasts, the one that counts most first."""


def are_synonyms(left: str, right: str) -> bool:
    """Whether two stems may stand for each other in most questions."""
    if left == right:
        return True
    one, other = _SYNONYMS.get(left), _SYNONYMS.get(right)
    return one is not None and other is not None and not one.isdisjoint(other)
