"""What the judge knows of a pair of prompts: a fixed row of numbers over their words, vectors and readings.

Every feature is symmetric in the two prompts and cheap: a pair costs a few small numpy calls. `NAMES` fixes the order; the
shipped parameters carry it too, and a mismatch is refused when they are loaded.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from askonce.cache.guards import Pair
from askonce.cache.lexicon import FILLERS, are_synonyms, stem
from askonce.cache.reading import Reading
from askonce.cache.words import WordTable

__all__ = ["NAMES", "Sketch", "features", "sketch"]

_GROUPS = ["what/which", "how", "why", "when", "where", "who/whom/whose", "is/are/am", "was/were/been/be/being", "do/does", "did/done", "can/could", "will/would", "should/ought/must", "have/has/had", "i/me", "myself", "my/mine", "you", "yourself", "your/yours", "we/us", "our", "he/him/his", "she/her", "they/them", "their", "it/its", "a/an", "the", "this/that", "these/those", "some/any/several", "all/every/each", "most", "many/much", "more", "less", "not/no/never", "to", "from", "in/into", "on", "of", "for", "with", "without", "by", "about", "as", "than", "like", "at", "after", "before", "if", "or", "and", "but", "because/since", "so", "there/here", "get/got", "just/only", "also/too", "even", "still/yet", "already", "now", "ever", "really/actually", "good/better", "best", "great", "way/ways/method", "thing/things", "people/person/someone/one", "give/tell/show/explain/know", "mean/meaning", "possible", "help", "want/need", "please", "other/another", "same", "different", "first", "last", "new", "use/using", "make", "work", "find", "example/examples", "time", "way", "difference", "vs/versus", "between", "during", "while", "through", "over", "up", "down", "out", "off"]
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
    *(f"only:{group}" for group in _GROUPS),
)


@dataclass(frozen=True, slots=True)
class Sketch:
    """One prompt as the features need it; made once for each prompt."""

    reading: Reading
    generation: int
    ids: NDArray[np.int32]
    content: NDArray[np.bool_]
    vector: NDArray[np.float32]
    """Sum of its words, at length 1."""
    subject: NDArray[np.float32]
    """Sum of its content words, at length 1."""
    groups: frozenset[int]
    trigrams: frozenset[str]
    bigrams: frozenset[tuple[int, int]]
    stems: frozenset[int]
    sequence: tuple[int, ...]
    question: int
    sentences: int


def sketch(reading: Reading, words: WordTable) -> Sketch:
    """The sketch of one reading, some tens of microseconds for a line of text."""
    tokens = reading.tokens or ("",)
    ids = words.ids(tokens)
    content = words.content[ids]
    vectors = words.unit[ids] * words.length[ids][:, None]
    stems = tuple(words.stem[ids].tolist())
    text = " ".join(tokens)
    question = reading.question if reading.question in _QUESTIONS else "how"
    return Sketch(
        reading=reading,
        generation=words.generation,
        ids=ids,
        content=content,
        vector=_unit(vectors.sum(axis=0)),
        subject=_unit(vectors[content].sum(axis=0)),
        groups=frozenset(_GROUP_OF[t] for t in tokens if t in _GROUP_OF),
        trigrams=frozenset(map("".join, zip(text, text[1:], text[2:], strict=False))),
        bigrams=frozenset(zip(stems, stems[1:], strict=False)),
        stems=frozenset(stems),
        sequence=stems,
        question=_QUESTIONS.index(question),
        sentences=reading.sentences,
    )


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    length = float(np.sqrt(vector @ vector))
    return vector / length if length else vector


def features(one: Sketch, other: Sketch, pair: Pair, words: WordTable) -> list[float]:
    """The row of numbers named by `NAMES` for the two prompts of `pair`."""
    partners = words.unit[one.ids] @ words.unit[other.ids].T
    np.maximum(partners, words.stem[one.ids][:, None] == words.stem[other.ids], out=partners)
    _meet_synonyms(partners, pair, words)
    best_a, best_b = partners.max(axis=1), partners.max(axis=0)
    left, worst_a, loss_a = _aligned(best_a, words.length[one.ids], one.content)
    right, worst_b, loss_b = _aligned(best_b, words.length[other.ids], other.content)
    row = [float(one.vector @ other.vector), float(one.subject @ other.subject)]
    for x, y in zip(left, right, strict=True):
        row += (x, y) if x < y else (y, x)

    free_a, free_b = best_a < 0.85, best_b < 0.85
    row += _residues(one, other, free_a, free_b, words)
    row.append(max(worst_a, worst_b) if worst_a >= 0 and worst_b >= 0 else -1.0)
    only = sorted((len(pair.only_a), len(pair.only_b)))
    heavy = sorted((_heavy(pair.only_a, pair.only_b), _heavy(pair.only_b, pair.only_a)))
    row += (*only, *heavy)

    a, b = pair.a, pair.b
    row += _overlap(one.stems, other.stems)
    row += _overlap(a.stems, b.stems)
    sizes = sorted((len(a.order), len(b.order)))
    row += (len(a.stems & b.stems), *sizes)
    row.append(_overlap(one.trigrams, other.trigrams)[0])
    row.append(_overlap(one.bigrams, other.bigrams)[0])
    x, y = one.sequence, other.sequence
    row += (len(x), len(y)) if len(x) < len(y) else (len(y), len(x))
    row += (x[0] == y[0], x[:2] == y[:2], x[-1] == y[-1], _inversions(x, y))
    row += sorted((one.question, other.question))
    row += sorted((one.sentences, other.sentences))
    names = set(a.names), set(b.names)
    row += (len(names[0] - b.token_set) + len(names[1] - a.token_set), len(names[0] & names[1]))
    roles = {w.stem: w.role for w in a.words}
    row.append(sum(roles.get(w.stem, w.role) != w.role for w in b.words))
    row += (len(a.negated) + len(b.negated), len(a.numbers), a.scopes != b.scopes, a.lead != b.lead)
    flags = [0.0] * len(_GROUPS)
    for group in one.groups ^ other.groups:
        flags[group] = 1.0
    row += flags
    return row


def _meet_synonyms(partners: NDArray[np.float32], pair: Pair, words: WordTable) -> None:
    """Raises the similarity of words that the lexicon holds for synonyms, and of typing errors to what was meant."""
    if not pair.only_a or not pair.only_b:
        return
    for x in pair.only_a[:8]:
        for y in pair.only_b[:8]:
            meant = 0.9 if are_synonyms(x, y) else 0.97 if _typed(x, y, words) else 0.0
            if meant:
                rows = [i for i, t in enumerate(pair.a.tokens) if stem(t) == x]
                columns = [j for j, t in enumerate(pair.b.tokens) if stem(t) == y]
                for i in rows:
                    for j in columns:
                        partners[i, j] = max(partners[i, j], meant)


def _typed(x: str, y: str, words: WordTable) -> bool:
    """Whether one is the other but for one slip of the keyboard, and not a word of its own."""
    if x[0] != y[0] or len(x) < 5 or len(y) < 5 or abs(len(x) - len(y)) > 1 or (x in words.known and y in words.known):
        return False
    at = next((i for i, (p, q) in enumerate(zip(x, y, strict=False)) if p != q), min(len(x), len(y)))
    if len(x) == len(y):
        return x[at + 1 :] == y[at + 1 :] or (x[at : at + 2] == y[at : at + 2][::-1] and x[at + 2 :] == y[at + 2 :])
    return x[at + 1 :] == y[at:] if len(x) > len(y) else y[at + 1 :] == x[at:]


def _aligned(
    best: NDArray[np.float32], weight: NDArray[np.float32], content: NDArray[np.bool_]
) -> tuple[list[float], float, float]:
    """How well the words of one side are partnered on the other, by `_ALIGNED`; the worst word's partner and loss."""
    mean, low = float(best @ weight / weight.sum()), float(best.min())
    some, heavy = best[content], weight[content]
    if not len(some):
        return [mean, low, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0], -1.0, 0.0
    loss = (1 - some) * heavy
    worst = int(loss.argmax())
    ranked = np.sort(some)
    second = float(ranked[1]) if len(ranked) > 1 else 1.0
    total = float(loss.sum())
    row = [mean, low, float(some @ heavy / heavy.sum()), float(ranked[0]), second, float(loss[worst]), total]
    row.append(float((some < 0.85).sum()))
    return row, float(some[worst]), total


def _residues(
    one: Sketch, other: Sketch, free_a: NDArray[np.bool_], free_b: NDArray[np.bool_], words: WordTable
) -> list[float]:
    """Cosine and lengths of what neither side finds in the other; 2 where one side has nothing left, 3 where neither."""
    left, right = one.ids[free_a], other.ids[free_b]
    if not len(left) or not len(right):
        lengths = sorted((float(words.length[left].sum()), float(words.length[right].sum())))
        return [2.0 if len(left) or len(right) else 3.0, *lengths]
    a = words.length[left] @ words.unit[left]
    b = words.length[right] @ words.unit[right]
    x, y = float(np.sqrt(a @ a)), float(np.sqrt(b @ b))
    return [float(a @ b) / (x * y + 1e-9), min(x, y), max(x, y)]


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
