"""Slips of the keyboard: which are mended, and what stays because it could mean something."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.cache.judge import Candidate
from askonce.cache.judge.slips import mended
from askonce.cache.judge.trained import TrainedJudge

NOWHERE = np.zeros(256, dtype=np.float32)
SHIPPED = TrainedJudge.load()
QUESTION = "What was the population of London in 1801?"


def chance(one: str, other: str) -> float:
    return SHIPPED.judge(one, NOWHERE, [Candidate(other, NOWHERE, 0.99)])[0].probability


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("What was the popluation of London in 1801?", QUESTION),
        ("What was the poplation of London in 1801?", QUESTION),
        ("What was the populaation of London in 1801?", QUESTION),
        ("What was the popularion of London in 1801?", QUESTION),
        ("what was the populstion of london in 1801", "what was the population of london in 1801"),
        ("How do I seperate eggs?", "How do I separate eggs?"),
        ("Flwoers need how much water?", "Flowers need how much water?"),
        ("how do i cancle my acount", "how do i cancel my account"),
    ],
)
def test_a_word_that_is_none_is_the_one_that_was_meant(typed: str, meant: str) -> None:
    assert mended(typed, meant) == (meant, meant)
    assert mended(meant, typed) == (meant, meant)
    assert chance(typed, meant) >= TrainedJudge.REWORDED
    assert chance(meant, typed) >= TrainedJudge.REWORDED


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What does sulfate do to hair?", "What does sulfite do to hair?"),
        ("Is the causal link clear?", "Is the casual link clear?"),
        ("How do I boil propanal?", "How do I boil propanol?"),
        ("How does gradle work?", "How does grade work?"),
        ("How do I use tumblr?", "How do I use tumbler?"),
        ("what is my quora limit", "what is my quota limit"),
        ("does flink fail often", "does flunk fail often"),
        ("How does Populaton pay?", "How does population pay?"),
        ("Who is philip petersson?", "Who is philip petersen?"),
        ("How do you spell acommodation?", "How do you spell accommodation?"),
        ("what does `populaton` hold", "what does `population` hold"),
        ('Who said "populaton"?', 'Who said "population"?'),
        ("Fix this:\npopulaton", "Fix this:\npopulation"),
        ("what is my.populaton for", "what is my.population for"),
        ("read populaton/size", "read population/size"),
        ("Where is norlnud?", "Where is norlund?"),
        ("was kostet die presion hier", "was kostet die prison hier"),
        ("zolek kanfor mirtu populaton", "zolek kanfor mirtu population"),
        ("popluation densty incme trends", "population density income trends"),
        ("Does the copulation of London grow?", "Does the population of London grow?"),
        ("", ""),
    ],
)
def test_what_could_mean_something_stays(one: str, other: str) -> None:
    assert mended(one, other) == (one, other)
    assert mended(other, one) == (other, one)


def test_two_slips_are_mended_each_by_the_other_side() -> None:
    assert mended("cancle the account", "cancel the acount") == ("cancel the account", "cancel the account")


def test_a_slip_does_not_hide_what_else_differs() -> None:
    assert chance("What was the popluation of London in 1901?", QUESTION) == 0
    assert chance("What was the popluation of Paris in 1801?", QUESTION) == 0


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_two_texts_can_be_asked_about(one: str, other: str) -> None:
    left, right = mended(one, other)
    assert mended(other, one) == (right, left)
