"""Plain rewordings: the same content words in another frame ("What is the way to sort a Python list?").

The one rule: every content word has its like on the other side, both ask the same kind of question, and all that
differs is grammar that carries nothing. Among pairs of real questions that pass, people call as many the same as among
pairs that are equal word for word, so the judge takes them for the same; whatever else differs is a matter of degree.
"""

from collections import Counter

from askonce.cache.judge.content_words import Word
from askonce.cache.judge.guards import Pair
from askonce.cache.judge.lexicon import FILLERS, FUNCTION_WORDS, GRAMMAR, VERBS, are_synonyms, stem
from askonce.cache.judge.reading import Reading

__all__ = ["reworded"]

_LIGHT = GRAMMAR["light"] | FILLERS
"""Function words of which each side may have its own."""
_COURTESIES, _MENTIONS, _WAYS = GRAMMAR["courtesy"], GRAMMAR["mention"], GRAMMAR["way"]
_PLACED = GRAMMAR["placed"]
"""Prepositions that may be traded for a compound ("hikes in Rome"), but not beside "is" ("is it in Rome")."""
_CLASSES = {"": "what", "who": "what", "what": "what"}
_NEUTRAL = frozenset(map(stem, FILLERS | {"step", "steps", "method", "methods"}))


def reworded(pair: Pair) -> bool:
    """Whether the two prompts are one question in two frames. Guards must have been asked before."""
    a, b = pair.a, pair.b
    if _kind(a) != _kind(b) or a.foreign or b.foreign:
        return False
    if a.numbers != b.numbers and sorted(map(repr, a.numbers)) != sorted(map(repr, b.numbers)):
        return False
    if not _in_order(a, b) or not _governed_alike(a, b):
        return False
    if a.question == "yes/no" and _subject(a) != _subject(b):
        return False  # "can you see me", "can I see you"
    if a.question == "yes/no" and ((a.token_set ^ b.token_set) & _DEGREES):
        return False  # "is it very dangerous"
    if a.spans != b.spans or len(a.stems & b.stems) < 1 or min(len(a.order), len(b.order)) < 2:
        return False
    if not _partnered(pair.only_a, pair.only_b, b) or not _partnered(pair.only_b, pair.only_a, a):
        return False
    times_a, times_b = Counter(w.stem for w in a.words), Counter(w.stem for w in b.words)
    if any(times_a[s] != times_b[s] for s in a.stems & b.stems):
        return False
    unshared = a.token_set ^ b.token_set
    if a.token_set & _MENTIONS and unshared & _COURTESIES:
        return False  # "how do you say please", "how do you say thank you"
    own = {t for t in unshared if t in FUNCTION_WORDS}
    placed = own & _PLACED
    if placed and (a.question == "yes/no" or len(placed) > 1):
        return False
    if {"will", "would"} <= own or "by" in own:
        return False  # "does she like him", "is she liked by him"
    if a.question == "yes/no" and {"i", "you"} <= own:
        return False  # "can I cancel it", "can you cancel it"
    if a.question and {"need", "want"} <= unshared:
        return False  # "do I need to file it", "do I want to file it"
    if own & _MODAL and _SPEAKERS.isdisjoint(a.token_set | b.token_set):
        return False  # "how long can a fish live", "how long does a fish live"
    if _kind(a) == "what" and own & {"do", "does"} and own & {"is", "are"}:
        return False  # "what is a barometer", "what does a barometer do"
    if unshared & _WAYS:
        own.discard("to")  # "how do I sort it", "what is the way to sort it"
    return own - _LIGHT <= placed


def _in_order(a: Reading, b: Reading) -> bool:
    """Whether the words that both have, in any form where they are verbs, come in one order, but for those that one
    side has for a compound ("a list in Python", "a Python list") and those of a list."""
    at = {_form(word): word for word in b.words}
    moved = {
        _form(word)
        for word in a.words
        if (other := at.get(_form(word)))
        and ((word.group >= 0 and other.group >= 0) or (word.role != other.role and {word.role, other.role} <= _LOOSE))
    }
    one, two = ([_form(word) for word in side.words] for side in (a, b))
    common = (set(one) & set(two)) - moved
    return [form for form in one if form in common] == [form for form in two if form in common]


def _form(word: Word) -> str:
    return word.stem if word.stem in VERBS else word.text


def _governed_alike(a: Reading, b: Reading) -> bool:
    """Whether no word that both have stands behind another preposition: "a gift for a teacher", "from a teacher"."""
    at = {word.stem: word.role for word in b.words}
    roles = ({word.role, at.get(word.stem, "")} for word in a.words)
    return all(len(pair) == 1 or "" in pair or pair in _ALIKE for pair in roles)


_ALIKE = ({"in", "at"}, {"in", "of"}, {"on", "of"})
"""Prepositions that stand for each other where no verb is before them: "the highest in the Alps", "of the Alps"."""


_LOOSE = _PLACED | {""}
_SUBJECTS = frozenset(["i", "you", "we", "he", "she", "they", "it"])


_MODAL = GRAMMAR["modal"] | {"would", "will"}
_SPEAKERS = GRAMMAR["speaker"]
_DEGREES = frozenset(["very", "quite"])


def _subject(reading: Reading) -> str:
    return next((token for token in reading.tokens if token in _SUBJECTS), "")


def _kind(reading: Reading) -> str:
    return _CLASSES.get(reading.question, reading.question)


def _partnered(only: list[str], theirs: list[str], other: Reading) -> bool:
    """Whether each word that only one side has is neutral, or has a synonym on the other."""
    return all(
        word in _NEUTRAL or any(are_synonyms(word, partner) for partner in (theirs or other.order)) for word in only
    )
