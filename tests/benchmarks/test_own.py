"""Pairs of the corpus: what is one question, and what a cache would be asked beside what it knows."""

import numpy as np
from benchmarks.corpus import Domain, Intent
from benchmarks.judge.own import NEIGHBOUR, REWORDING, met, neighbours, own_pairs
from numpy.typing import NDArray

from askonce.cache.judge import load_judge

CATS = Intent(1, "What is a cat?", ["cat?", "define cat"], [("entity", "What is a dog?")])
DOGS = Intent(2, "How old do dogs get?", ["age of dogs"], [("entity", "How old do cats get?")])
DOMAIN = Domain("en", "pets", [CATS, DOGS])


def letters(texts: list[str]) -> NDArray[np.float32]:
    """A unit vector of the letters of each text."""
    rows = np.array([[text.lower().count(chr(97 + n)) for n in range(26)] for text in texts], np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_all_wordings_are_one_question_and_near_misses_another() -> None:
    rows = own_pairs([DOMAIN])
    assert sum(row.label for row in rows) == 3 + 1
    assert {row.category for row in rows if not row.label} == {"entity"}
    assert ("cat?", "What is a dog?", 0) in {(row.a, row.b, row.label) for row in rows}
    assert {row.group for row in rows} == {"pets:1", "pets:2"}


def test_neighbours_are_wordings_of_other_intents() -> None:
    rows = neighbours([DOMAIN], letters, nearest=1)
    assert {(row.label, row.category) for row in rows} == {(0, NEIGHBOUR)}
    ours = {CATS.first, *CATS.rewordings}
    assert all((row.a in ours) != (row.b in ours) for row in rows)


def test_what_a_cache_meets_is_the_best_of_what_came_before() -> None:
    rows = [pair.row for pair in met([DOMAIN], letters, load_judge())]
    assert rows and all(row.category == REWORDING for row in rows), "so few wordings leave no room for a near miss"
    assert all(row.label in (0, 1) for row in rows)
