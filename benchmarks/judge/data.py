"""The development sets as labelled pairs, and which of them may be trained on.

The rule: a question is on one side only. Pairs that share a question, directly or through others, are split together;
checklist and gsmplus are never trained on. Texts are read where they lie and copied nowhere.
"""

import gzip
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from askonce.cache.judge import guards
from askonce.cache.judge.reading import read
from askonce.quality.labelled import LabelledPair, groups

__all__ = ["SHARED", "Row", "banking_pairs", "calibrates", "held_out", "pairs", "present", "rows", "same_words"]

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled pair; `group` names its connected component of questions."""

    a: str
    b: str
    label: int
    category: str
    group: str


def present(name: str) -> bool:
    """Whether a development set is here."""
    return (SHARED / f"{name}.jsonl.gz").exists()


def rows(name: str) -> list[dict[str, Any]]:
    """The lines of one set."""
    with gzip.open(SHARED / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def held_out(group: str) -> bool:
    """Whether a group is kept for measuring: one in four, by its hash."""
    return hashlib.sha256(group.encode()).digest()[0] % 4 == 0


def calibrates(group: str) -> bool:
    """Whether a group that no training saw is what the deep judge is calibrated with, and so not measured with either:
    one in four of them."""
    return held_out(group) and hashlib.sha256(group.encode()).digest()[1] % 4 == 0


def same_words(one: str, other: str) -> bool:
    """Whether two questions are the same words, but for courtesies."""
    pair = guards.Pair(read(one), read(other))
    return pair.alike and guards.objection(pair) is None


def pairs(name: str) -> list[Row]:
    """A set of pairs, with the component of each."""
    found = [LabelledPair(row["a"], row["b"], row["label"], row.get("cat", name)) for row in rows(name)]
    return [
        Row(pair.a, pair.b, pair.label, pair.category, group) for pair, group in zip(found, groups(found), strict=True)
    ]


def banking_pairs(
    vectors: Any, *, test: bool, queries: int = 3_500, stored: int = 1_500, nearest: int = 3, seed: int = 0
) -> list[Row]:
    """Each of some queries beside its nearest stored texts, as a cache would meet them; one intent is one answer.

    `vectors` maps a list of texts to unit vectors. `test` asks only what belongs to held-out intents, among stored
    texts of all intents; otherwise both sides are of the other intents.
    """
    found = rows("banking77_stream")
    known = found if test else [row for row in found if not held_out(row["cls"])]
    order = np.random.default_rng(seed).permutation(len(known))
    chosen, others = order[:stored], [i for i in order[stored:] if held_out(known[i]["cls"]) == test][:queries]
    texts, asked = [known[i]["text"] for i in chosen], [known[i]["text"] for i in others]
    base = vectors(texts)
    made = []
    for i, text, vector in zip(others, asked, vectors(asked), strict=True):
        intent = known[i]["cls"]
        for place in np.argsort(-(base @ vector))[:nearest]:
            same = int(intent == known[chosen[place]]["cls"])
            made.append(Row(text, texts[place], same, "banking77", intent))
    return made
