import numpy as np
import pytest
from tests.unit.quality.conftest import Cosine, Words

from askonce.quality import bounds
from askonce.quality.labelled import LabelledPair
from askonce.quality.pairs import known
from askonce.quality.report import rules_lines, tune_report
from askonce.quality.tune import CHOICES, Tuned, TunedPoint, choices, split, tune
from askonce.rules import Document

UPSTREAMS = "upstreams: [{name: x, hosts: [h.example], paths: [/v1], wire: generic, prompt: $.q}]\n"


def questions(right: int, wrong: int) -> list[LabelledPair]:
    """Right pairs of cosine 0.95 and wrong ones of 0.82, no two of which share a question."""
    made = [LabelledPair(f"red {n}", f"{n} red", 1) for n in range(right)]
    return made + [LabelledPair(f"red green blue {n}", f"{n} red green", 0) for n in range(wrong)]


def test_a_question_is_on_one_side_only() -> None:
    pairs = [LabelledPair(f"{n // 3}", f"{n // 3} {n}", 1) for n in range(300)]
    sides = split(pairs)
    assert all(len(set(sides[n : n + 3].tolist())) == 1 for n in range(0, 300, 3))
    assert 100 < sides.sum() < 200


async def test_the_loosest_value_that_the_labels_support(words: Words, cosine: Cosine) -> None:
    pairs = questions(700, 300)
    tuned = await tune(pairs, known(words, pairs), cosine, target=0.25)
    assert [point.max_error for point in tuned.tried] == [*CHOICES, 0.25]
    assert tuned.chosen is not None
    assert tuned.check is not None
    # From 0.2 on the wrong ones are served; all below serve the same, so the strictest of them is taken.
    assert tuned.chosen.max_error == CHOICES[0]
    assert (tuned.chosen.wrong, tuned.check.wrong) == (0, 0)
    assert tuned.chosen.served + tuned.check.served == 700
    assert tuned.chosen.pairs + tuned.check.pairs == 1000
    assert tuned.chosen.bound == bounds.upper(0, tuned.chosen.served, 1 - 0.05 / 10)
    assert tuned.check.bound == bounds.upper(0, tuned.check.served, 0.95)
    loose = next(point for point in tuned.tried if point.max_error == 0.2)
    assert loose.wrong > 0
    assert loose.bound > 0.25
    assert (tuned.holds, tuned.is_shown) == (True, True)
    assert rules_lines(tuned) == "defaults:\n  max_error: 0.001\n"


def test_nothing_above_the_target_is_tried() -> None:
    assert choices(0.02) == (0.001, 0.002, 0.005, 0.01, 0.02)
    assert choices(0.015) == (0.001, 0.002, 0.005, 0.01, 0.015)
    assert choices(0.0005) == (0.0005,)


async def test_few_pairs_prove_nothing(words: Words, cosine: Cosine) -> None:
    pairs = questions(40, 10)
    tuned = await tune(pairs, known(words, pairs), cosine, target=0.02)
    assert (tuned.chosen, tuned.check, tuned.holds) == (None, None, False)
    assert rules_lines(tuned) == "defaults:\n  match: exact\n"


def tuned(check: TunedPoint) -> Tuned:
    chosen = TunedPoint(0.05, 1000, 500, 2, 0.019)
    return Tuned(0.02, 0.95, (chosen,), chosen, check)


@pytest.mark.parametrize(
    ("wrong", "served", "holds", "is_shown"), [(1, 500, True, True), (3, 200, True, False), (5, 200, False, False)]
)
def test_the_other_half_is_asked(wrong: int, served: int, holds: bool, is_shown: bool) -> None:
    found = tuned(TunedPoint(0.05, 1000, served, wrong, bounds.upper(wrong, served)))
    assert (found.holds, found.is_shown) == (holds, is_shown)
    assert rules_lines(found) == ("defaults:\n  max_error: 0.05\n" if holds else "defaults:\n  match: exact\n")
    assert tune_report(found)["rules"] == rules_lines(found)


@pytest.mark.parametrize("max_error", CHOICES)
def test_the_lines_are_accepted_as_rules(max_error: float) -> None:
    point = TunedPoint(max_error, 1000, 1000, 0, 0.004)
    lines = rules_lines(Tuned(0.02, 0.95, (point,), point, point))
    assert Document.parse("version: 1\n" + lines + UPSTREAMS, environ={}).defaults.max_error == max_error


def test_the_lines_without_a_choice_are_accepted_too() -> None:
    lines = rules_lines(Tuned(0.02, 0.95, (), None, None))
    assert Document.parse("version: 1\n" + lines + UPSTREAMS, environ={}).defaults.match == "exact"


def test_what_is_not_safe_is_seldom_called_safe() -> None:
    """By simulation: of many users whose every choice is a little worse than the target, few are promised it."""
    random = np.random.default_rng(0)
    confidence = 1 - 0.05 / len(CHOICES)
    tries = random.binomial(400, 0.055, size=(400, len(CHOICES)))
    assert 1 <= sum(any(bounds.upper(int(wrong), 400, confidence) <= 0.05 for wrong in one) for one in tries) <= 20
