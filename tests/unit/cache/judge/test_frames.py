"""Questions in another frame: which are read as one, and what a frame does not fit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.cache.judge import Candidate
from askonce.cache.judge.frames import framed
from askonce.cache.judge.lexicon import FRAMES
from askonce.cache.judge.trained import TrainedJudge

NOWHERE = np.zeros(256, dtype=np.float32)
SHIPPED = TrainedJudge.load()


def chance(one: str, other: str) -> float:
    return SHIPPED.judge(one, NOWHERE, [Candidate(other, NOWHERE, 0.99)])[0].probability


@pytest.mark.parametrize(
    ("question", "read"),
    [
        ("How does a cello differ from a viola?", "what is the difference between a cello and a viola?"),
        ("How do cats and dogs differ?", "what is the difference between cats and dogs?"),
        ("I want to bake bread. How do I do that?", "how do i bake bread?"),
        ("i'd like to bake bread, how do i do that", "how do i bake bread"),
        ("What's the height of Mount Everest?", "how tall is Mount Everest?"),
        ("Is it possible to travel faster than light?", "can i travel faster than light?"),
        ("what year did the war end", "when did the war end"),
        ("Who was the author of Emma?", "who wrote Emma?"),
        ("What is the price of a stamp?", "how much does a stamp cost?"),
        ("By whom was Guernica painted?", "who painted Guernica?"),
        ("Are raw eggs safe to eat?", "is it safe to eat raw eggs?"),
        ("Is Finnish hard to learn?", "is it hard to learn Finnish?"),
        ("Must I carry an ID?", "do i have to carry an ID?"),
    ],
)
def test_a_question_is_read_in_the_frame_of_its_own(question: str, read: str) -> None:
    assert framed(question) == read
    assert chance(question, read) == chance(read, question) == TrainedJudge.REWORDED


@pytest.mark.parametrize(
    "question",
    [
        "What is the difference between a cat, a dog and a fox and a wolf?",
        "How do cats and dogs and foxes differ?",
        "I want to bake bread. It is late. How?",
        "I want to bake bread. Do you?",
        "Is it possible?",
        "Is it safe to eat raw eggs?",
        "How tall is Mount Everest?",
        "",
        "?",
    ],
)
def test_what_no_frame_fits_stays(question: str) -> None:
    assert framed(question) == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is the height of K2?", "How tall is K3?"),
        ("How does a cello differ from a viola?", "What is the difference between a cello and a violin?"),
        ("Who is the author of Emma?", "Who invented Emma?"),
        ("Is it possible to eat before a scan?", "Can I eat after a scan?"),
        ("What year did the war end?", "When did the war begin?"),
        ("Is it possible to tip?", "Do I have to tip?"),
        ("Must I tip?", "Should I tip?"),
        ("Are drones legal to fly?", "Is it illegal to fly drones?"),
        ("What is the price of rust?", "How much does Rust cost?"),
    ],
)
def test_what_stands_in_the_frame_counts_as_ever(one: str, other: str) -> None:
    assert chance(one, other) < 0.98
    assert chance(other, one) < 0.98


@pytest.mark.parametrize("name", FRAMES)
def test_each_frame_is_read_as_the_first_of_its_line(name: str) -> None:
    for frame in FRAMES[name]:
        asked = frame.replace("<x>", "the red one").replace("<y>", "the blue one").replace(" .", ".")
        found = framed(f"{asked}?")
        expected = name.replace("<x>", "the red one").replace("<y>", "the blue one") + "?"
        assert found == ("" if asked + "?" == expected else expected), asked


@given(st.text(max_size=80))
def test_any_text_may_be_asked(question: str) -> None:
    found = framed(question)
    assert found == "" or framed(found) in ("", found)
