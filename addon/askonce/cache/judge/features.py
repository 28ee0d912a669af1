"""What the judge knows of a pair of prompts: a fixed row of numbers over their words, vectors and readings.

A pair costs a few small numpy calls. The prompt that is asked comes first, as in training: of a word that stands twice,
and of numbers, some features tell the two apart. `NAMES` fixes the order of the features; the shipped parameters carry
it too, and a mismatch is refused when they are loaded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import mul

import numpy as np
from numpy.typing import NDArray

from askonce.cache.judge.guards import DOUBTS, Pair
from askonce.cache.judge.lexicon import FILLERS, are_synonyms, stem
from askonce.cache.judge.reading import Reading
from askonce.cache.judge.words import WordVectors

__all__ = ["NAMES", "Sketch", "features", "sketch"]

_GROUPS = [
    "what/which",
    "how",
    "why",
    "when",
    "where",
    "who/whom/whose",
    "is/are/am",
    "was/were/been/be/being",
    "do/does",
    "did/done",
    "can/could",
    "will/would",
    "should/ought/must",
    "have/has/had",
    "i/me",
    "myself",
    "my/mine",
    "you",
    "yourself",
    "your/yours",
    "we/us",
    "our",
    "he/him/his",
    "she/her",
    "they/them",
    "their",
    "it/its",
    "a/an",
    "the",
    "this/that",
    "these/those",
    "some/any/several",
    "all/every/each",
    "most",
    "many/much",
    "more",
    "less",
    "not/no/never",
    "to",
    "from",
    "in/into",
    "on",
    "of",
    "for",
    "with",
    "without",
    "by",
    "about",
    "as",
    "than",
    "like",
    "at",
    "after",
    "before",
    "if",
    "or",
    "and",
    "but",
    "because/since",
    "so",
    "there/here",
    "get/got",
    "just/only",
    "also/too",
    "even",
    "still/yet",
    "already",
    "now",
    "ever",
    "really/actually",
    "good/better",
    "best",
    "great",
    "way/ways/method",
    "thing/things",
    "people/person/someone/one",
    "give/tell/show/explain/know",
    "mean/meaning",
    "possible",
    "help",
    "want/need",
    "please",
    "other/another",
    "same",
    "different",
    "first",
    "last",
    "new",
    "use/using",
    "make",
    "work",
    "find",
    "example/examples",
    "time",
    "way",
    "difference",
    "vs/versus",
    "between",
    "during",
    "while",
    "through",
    "over",
    "up",
    "down",
    "out",
    "off",
]
_GROUP_OF = {word: index for index, group in reversed(list(enumerate(_GROUPS))) for word in group.split("/")}

_QUESTIONS = ("", "yes/no", "what", "how", "why", "when", "where", "who")
_NEUTRAL = frozenset(map(stem, FILLERS))

_ALIGNED = ("mean", "min", "content_mean", "content_min", "content_second", "worst", "loss", "missing")
NAMES: tuple[str, ...] = (
    "cosine",
    "content_cosine",
    *(f"{name}_{side}" for name in _ALIGNED for side in ("low", "high")),
    "residue_cosine",
    "residue_low",
    "residue_high",
    "best_partner_of_worst",
    "only_low",
    "only_high",
    "only_heavy_low",
    "only_heavy_high",
    "jaccard",
    "overlap",
    "content_jaccard",
    "content_overlap",
    "content_common",
    "content_low",
    "content_high",
    "trigrams",
    "bigrams",
    "words_low",
    "words_high",
    "first",
    "second",
    "last",
    "inversions",
    "question_low",
    "question_high",
    "sentences_low",
    "sentences_high",
    "names_missing",
    "name_common",
    "roles_differ",
    "negated",
    "numbers",
    "scope_differs",
    "lead_differs",
    *(f"{name}_{side}" for name in ("strangers", "distant") for side in ("low", "high")),
    *(f"doubt:{guard}" for guard in DOUBTS),
    *(f"only:{group}" for group in _GROUPS),
)


@dataclass(frozen=True, slots=True)
class Sketch:
    """One prompt as the features need it; made once for each prompt. Arrays have a row for each of its words."""

    reading: Reading
    units: NDArray[np.float32]
    lengths: NDArray[np.float32]
    stems: NDArray[np.int64]
    weights: tuple[float, ...]
    """`lengths`, as Python's own numbers: for some ten words numpy's calls cost more than its arithmetic saves."""
    weight: float
    """Their sum."""
    heavy: tuple[tuple[int, float], ...]
    """Place and length of each content word."""
    broken: frozenset[str]
    """Words of several tokens, which may be typing errors."""
    vector: NDArray[np.float32]
    """Sum of its words, at length 1."""
    subject: NDArray[np.float32]
    """Sum of its content words, at length 1."""
    groups: frozenset[int]
    trigrams: frozenset[str]
    bigrams: frozenset[tuple[int, int]]
    stem_set: frozenset[int]
    sequence: tuple[int, ...]
    question: int


def sketch(reading: Reading, words: WordVectors) -> Sketch:
    """The sketch of one reading, some tens of microseconds for a line of text."""
    tokens = reading.tokens or ("",)
    known = [words.of(token) for token in tokens]
    units = np.array([word.unit for word in known])
    lengths = np.array([word.length for word in known], dtype=np.float32)
    content = np.array([word.content for word in known])
    sequence = tuple(word.stem for word in known)
    text = " ".join(tokens)
    question = reading.question if reading.question in _QUESTIONS else "how"
    return Sketch(
        reading=reading,
        units=units,
        lengths=lengths,
        stems=np.array(sequence, dtype=np.int64),
        weights=tuple(lengths.tolist()),
        weight=float(lengths.sum()),
        heavy=tuple((at, word.length) for at, word in enumerate(known) if word.content),
        broken=frozenset(stem(token) for token, word in zip(tokens, known, strict=True) if not word.whole),
        vector=_unit(lengths @ units),
        subject=_unit((lengths * content) @ units),
        groups=frozenset(_GROUP_OF[t] for t in tokens if t in _GROUP_OF),
        trigrams=frozenset(text[i : i + 3] for i in range(len(text) - 2)),
        bigrams=frozenset(pairwise(sequence)),
        stem_set=frozenset(sequence),
        sequence=sequence,
        question=_QUESTIONS.index(question),
    )


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    length = float(np.sqrt(vector @ vector))
    return vector / np.float32(length) if length else vector


def features(one: Sketch, other: Sketch, pair: Pair) -> list[float]:
    """The row of numbers named by `NAMES` for the two prompts of `pair`."""
    partners = one.units @ other.units.T
    np.maximum(partners, one.stems[:, None] == other.stems, out=partners)
    if pair.only_a and pair.only_b:
        _meet_synonyms(partners, one, other, pair)
    best_a, best_b = partners.max(axis=1), partners.max(axis=0)
    left, worst_a = _aligned(best_a.tolist(), one)
    right, worst_b = _aligned(best_b.tolist(), other)
    row = [float(one.vector @ other.vector), float(one.subject @ other.subject)]
    for x, y in zip(left, right, strict=True):
        row += (x, y) if x < y else (y, x)
    row += _residues(one, other, best_a < 0.85, best_b < 0.85)
    row.append(max(worst_a, worst_b) if worst_a >= 0 and worst_b >= 0 else -1.0)
    only, theirs = len(pair.only_a), len(pair.only_b)
    row += (only, theirs) if only < theirs else (theirs, only)
    only, theirs = _heavy(pair.only_a, pair.only_b), _heavy(pair.only_b, pair.only_a)
    row += (only, theirs) if only < theirs else (theirs, only)

    a, b = pair.a, pair.b
    row += _overlap(one.stem_set, other.stem_set)
    row += _overlap(a.stems, b.stems)
    row.append(len(a.stems & b.stems))
    x, y = len(a.order), len(b.order)
    row += (x, y) if x < y else (y, x)
    row += (_overlap(one.trigrams, other.trigrams)[0], _overlap(one.bigrams, other.bigrams)[0])
    x, y = len(one.sequence), len(other.sequence)
    row += (x, y) if x < y else (y, x)
    first, second = one.sequence, other.sequence
    row += (first[0] == second[0], first[:2] == second[:2], first[-1] == second[-1], _inversions(first, second))
    for x, y in ((one.question, other.question), (a.sentences, b.sentences)):
        row += (x, y) if x < y else (y, x)
    names = set(a.names), set(b.names)
    row += (len(names[0] - b.token_set) + len(names[1] - a.token_set), len(names[0] & names[1]))
    roles = {w.stem: w.role for w in a.words}
    row.append(sum(roles.get(w.stem, w.role) != w.role for w in b.words))
    row += (len(a.negated) + len(b.negated), len(a.numbers), a.scopes != b.scopes, a.lead != b.lead)
    for bound in _STRANGERS:
        x, y = _strangers(best_a, one, bound), _strangers(best_b, other, bound)
        row += (x, y) if x < y else (y, x)
    row += [float(guard in pair.doubts) for guard in DOUBTS]
    flags = [0.0] * len(_GROUPS)
    for group in one.groups ^ other.groups:
        flags[group] = 1.0
    row += flags
    return row


_STRANGERS = (0.4, 0.6)
"""Similarities below which a word has no like on the other side, and below which it has a distant one."""


def _strangers(best: NDArray[np.float32], side: Sketch, bound: float) -> float:
    """The share of a side's content, by weight, without a partner of this similarity on the other."""
    total = sum(weight for _, weight in side.heavy)
    return sum(weight for at, weight in side.heavy if best[at] < bound) / (total or 1.0)


def _meet_synonyms(partners: NDArray[np.float32], one: Sketch, other: Sketch, pair: Pair) -> None:
    """Raises the similarity of words that the lexicon holds for synonyms, and of typing errors to what was meant."""
    for x in pair.only_a[:8]:
        for y in pair.only_b[:8]:
            meant = 0.9 if are_synonyms(x, y) else 0.97 if _mistyped(x, y, one.broken, other.broken) else 0.0
            if meant:
                found = np.ix_(one.stems == hash(x), other.stems == hash(y))
                partners[found] = np.maximum(partners[found], meant)


def _mistyped(x: str, y: str, broken_x: frozenset[str], broken_y: frozenset[str]) -> bool:
    """Whether one is the other but for one slip of the keyboard, and not a word of its own."""
    if x[0] != y[0] or len(x) < 5 or len(y) < 5 or abs(len(x) - len(y)) > 1 or not (x in broken_x or y in broken_y):
        return False
    at = next((i for i, (p, q) in enumerate(zip(x, y, strict=False)) if p != q), min(len(x), len(y)))
    if len(x) == len(y):
        return x[at + 1 :] == y[at + 1 :] or (x[at : at + 2] == y[at : at + 2][::-1] and x[at + 2 :] == y[at + 2 :])
    return x[at + 1 :] == y[at:] if len(x) > len(y) else y[at + 1 :] == x[at:]


def _aligned(best: list[float], side: Sketch) -> tuple[list[float], float]:
    """How well the words of one side are partnered on the other, by `_ALIGNED`; and the worst word's partner."""
    mean, low = sum(map(mul, best, side.weights)) / (side.weight or 1.0), min(best)
    if not side.heavy:
        return [mean, low, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0], -1.0
    ranked = []
    total, all_heavy, most, worst = 0.0, 0.0, -1.0, 0.0
    for at, weight in side.heavy:
        partner = best[at]
        loss = (1 - partner) * weight
        if loss > most:
            most, worst = loss, partner
        total += loss
        all_heavy += weight
        ranked.append(partner)
    ranked.sort()
    second = ranked[1] if len(ranked) > 1 else 1.0
    missing = float(sum(partner < 0.85 for partner in ranked))
    return [mean, low, 1 - total / (all_heavy or 1.0), ranked[0], second, most, total, missing], worst


def _residues(one: Sketch, other: Sketch, free_a: NDArray[np.bool_], free_b: NDArray[np.bool_]) -> list[float]:
    """Cosine and lengths of what has no partner on the other side; 2 where one side has nothing left, 3 where both."""
    left, right = one.lengths * free_a, other.lengths * free_b
    a, b = left @ one.units, right @ other.units
    x, y = float(np.sqrt(a @ a)), float(np.sqrt(b @ b))
    angle = float(a @ b) / (x * y) if x and y else 2.0 if x or y else 3.0
    return [angle, x, y] if x < y else [angle, y, x]


def _heavy(only: Sequence[str], theirs: Sequence[str]) -> int:
    """Words that are neither fillers nor have a synonym among the other side's own."""
    return sum(w not in _NEUTRAL and not any(are_synonyms(w, v) for v in theirs) for w in only)


def _overlap(a: frozenset[object], b: frozenset[object]) -> tuple[float, float]:
    """Jaccard index and overlap coefficient."""
    common = len(a & b)
    return common / (len(a) + len(b) - common or 1), common / (min(len(a), len(b)) or 1)


def _inversions(x: Sequence[int], y: Sequence[int]) -> float:
    """The share of pairs of common words that stand the other way round."""
    place = {word: index for index, word in enumerate(y)}
    places = [place[word] for word in dict.fromkeys(x) if word in place]
    pairs = len(places) * (len(places) - 1) // 2
    if not pairs or places == sorted(places):
        return 0.0
    return sum(p > q for i, p in enumerate(places) for q in places[i + 1 :]) / pairs
