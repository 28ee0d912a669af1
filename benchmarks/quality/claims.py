"""What Askonce claims of its decisions, each claim beside what was measured.

One rule: a claim is measured on questions that the judge was never trained on, and on the path that a call takes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.corpus import Intent, domains
from benchmarks.judge.data import calibrates, held_out, pairs, rows, same_words

from askonce.quality.labelled import LabelledPair, Query
from askonce.quality.metrics import coverage, labels_of, recall_within
from askonce.quality.report import Contest

__all__ = [
    "Claim",
    "corpus_claims",
    "corpus_pairs",
    "coverage_claim",
    "held_out_pairs",
    "is_held_out",
    "noise_note",
    "stream",
    "stream_claims",
    "trap_claims",
]

WRONG_REUSE = 0.01
RECALL = 0.6
QQP_COVERAGE = {"trees": 0.15, "deep": 0.22}
COSINE = "cosine 0.92"
"""Any of the cosine's thresholds: its ranking is the same at all of them."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One line of the verdict."""

    subject: str
    claim: str
    measured: str
    passed: bool


def held_out_pairs(name: str) -> list[LabelledPair]:
    """The pairs of a development set that no training and no calibration saw: of qqp the groups that were held out, of
    the others all."""
    found = [row for row in pairs(name) if name != "qqp_pairs" or (held_out(row.group) and not calibrates(row.group))]
    return [LabelledPair(row.a, row.b, row.label, row.category.replace(name, "")) for row in found]


def corpus_pairs() -> list[LabelledPair]:
    """Of the corpus's held-out domains: each intent's first wording and its last beside every other wording and every
    near miss, by what that differs in."""
    return [
        pair
        for domain in domains("en")
        if domain.is_held_out
        for intent in domain.intents
        for text in (intent.first, intent.rewordings[-1])
        for pair in _beside(text, intent)
    ]


def _beside(text: str, intent: Intent) -> Iterable[LabelledPair]:
    for other in intent.rewordings[: None if text == intent.first else -1]:
        yield LabelledPair(text, other, 1, "rewording")
    for kind, prompt in intent.near:
        yield LabelledPair(text, prompt, 0, kind)


def corpus_claims(subject: str, report: Mapping[str, Any]) -> Iterable[Claim]:
    """What a cache is for, and what it must not do, on questions as people word them."""
    recall, wrong = report["recall"], report["false_reuse"]
    yield Claim(subject, f"recall of rewordings at least {RECALL:.0%}", f"{recall:.1%}", recall >= RECALL)
    yield Claim(subject, f"wrong reuse at most {WRONG_REUSE:.0%}", f"{wrong:.2%}", wrong <= WRONG_REUSE)


def stream() -> list[Query]:
    """The banking77 questions, all of them: an intent is only confused with others that are there."""
    return [Query(row["text"], row["cls"]) for row in rows("banking77_stream")]


def is_held_out(query: Query) -> bool:
    """Whether no training saw the intent."""
    return held_out(query.answer)


def trap_claims(
    subject: str, found: Contest, traps: Sequence[LabelledPair], report: Mapping[str, Any]
) -> Iterable[Claim]:
    """Wrong reuse, and recall beside the cosine's at the same wrong reuse."""
    wrong, recall = report["false_reuse"], report["recall"]
    theirs = recall_within(found[COSINE].scores, labels_of(traps), wrong)
    yield Claim(subject, f"wrong reuse at most {WRONG_REUSE:.0%}", f"{wrong:.2%}", wrong <= WRONG_REUSE)
    claim = "recall not below the cosine's at equal wrong reuse"
    yield Claim(subject, claim, f"{recall:.1%}, cosine {theirs:.1%}", recall >= theirs)


def coverage_claim(subject: str, report: Mapping[str, Any], judge: str) -> Claim:
    """Coverage at 5 % wrong."""
    ours, theirs = report["coverage_at_5"], report["baselines"][COSINE]["coverage_at_5"]
    claim = f"coverage at 5 % wrong at least {QQP_COVERAGE[judge]:.0%}"
    return Claim(subject, claim, f"{ours:.1%}, cosine {theirs:.1%}", ours >= QQP_COVERAGE[judge])


def noise_note(subject: str, found: Contest, pairs: Sequence[LabelledPair], known: Sequence[LabelledPair]) -> str:
    """What 5 % wrong comes to under labels that call questions of the same words two, and the coverage there: no claim,
    since it takes the labels' mistakes among those to be as frequent among all that are alike."""
    same = [pair.label for pair in known if same_words(pair.a, pair.b)]
    if not same:
        return f"{subject}: no two questions of the same words"
    wrong = 1 - sum(same) / len(same)
    bound = 1 - 0.95 * (1 - wrong)
    covered = coverage(found["askonce"].scores, labels_of(pairs), bound)
    return (
        f"{subject}: {wrong:.1%} of {len(same)} pairs of the same words are labelled different; "
        f"5 % wrong beside that is {bound:.1%} by the labels, and the coverage there is {covered:.1%}"
    )


def stream_claims(subject: str, report: Mapping[str, Any]) -> Iterable[Claim]:
    """Each bound on all shuffles: within it, and more hits than the best static threshold that keeps it."""
    for part, bound in dict.fromkeys((run["part"], run["max_error"]) for run in report["runs"]):
        runs = [run for run in report["runs"] if (run["part"], run["max_error"]) == (part, bound)]
        static = [run["baselines"]["best static"] for run in runs]
        wrong = ", ".join(f"{run['wrong']} of {run['hits']} = {run['wrong_share']:.2%}" for run in runs)
        name = f"{subject}, {part}"
        yield Claim(name, f"wrong among hits within {bound:.0%}", wrong, all(r["wrong_share"] <= bound for r in runs))
        hits = ", ".join(f"{run['hits']} : {theirs['hits']}" for run, theirs in zip(runs, static, strict=True))
        more = all(run["hits"] > theirs["hits"] for run, theirs in zip(runs, static, strict=True))
        yield Claim(name, f"more hits than the best cosine threshold within {bound:.0%}", hits, more)
