"""How often prompts are called what they are, by kind, apart from what is decided of pairs.

One rule: a confusion is counts by what a prompt is and what it was called; shares are made of it and nothing else.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from askonce.cache.judge.reuse import reuse
from askonce.quality.labelled import KINDS, LabelledPair, Prompt
from askonce.quality.metrics import PairDecisions, labels_of, measure

__all__ = ["Confusion", "apart", "confusion", "reuse_report", "shares"]

Confusion = Counter[tuple[str, str]]
"""(what it is, what it was called) -> how many."""


def confusion(pairs: Iterable[tuple[str, str]]) -> Confusion:
    """The counts of (what it is, what it was called)."""
    return Counter(pairs)


def shares(table: Confusion) -> tuple[float, float]:
    """Of the lasting prompts, those that were called otherwise; of the others, those that were called lasting."""
    lasting = sum(count for (kind, _), count in table.items() if kind == "lasting")
    others = table.total() - lasting
    otherwise = lasting - table["lasting", "lasting"]
    called = sum(count for (kind, called), count in table.items() if kind != "lasting" and called == "lasting")
    return otherwise / max(1, lasting), called / max(1, others)


def reuse_report(prompts: Sequence[Prompt]) -> dict[str, Any]:
    """The confusion of labelled prompts, as JSON values."""
    table = confusion((prompt.kind, reuse(prompt.text).kind) for prompt in prompts)
    otherwise, lasting = shares(table)
    return {
        "prompts": len(prompts),
        "called": {kind: {other: table[kind, other] for other in KINDS} for kind in KINDS},
        "lasting_otherwise": otherwise,
        "others_lasting": lasting,
    }


def apart(pairs: Sequence[LabelledPair], decided: PairDecisions) -> dict[str, Any]:
    """What the decision about single prompts holds back of labelled pairs, by kind and label, and the measures of the
    pairs that are left to the judge."""
    kinds = [_kind(pair) for pair in pairs]
    held = Counter((kind, "same" if pair.label else "other") for kind, pair in zip(kinds, pairs, strict=True))
    return {
        "held_back": {
            kind: {label: held[kind, label] for label in ("same", "other")}
            for kind in KINDS[1:]
            if held[kind, "same"] or held[kind, "other"]
        },
        "judged": measure(decided, labels_of(pairs), np.array([kind == "lasting" for kind in kinds])).as_json(),
    }


def _kind(pair: LabelledPair) -> str:
    """The kind of a pair: that of what was asked, or of what was stored where that lasts."""
    asked = reuse(pair.b).kind
    return reuse(pair.a).kind if asked == "lasting" else asked
