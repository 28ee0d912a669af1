"""Which pairs are one question in two frames, and which only look so."""

import pytest

from askonce.cache.judge.guards import Pair
from askonce.cache.judge.reading import read
from askonce.cache.judge.rewording import reworded

ONE = [
    ("What is the capital of France?", "Tell me the capital city of France."),
    ("How do I sort a list in Python?", "What is the way to sort a Python list?"),
    ("What is the highest peak in the Alps?", "Which is the highest peak of the Alps?"),
    ("What are good hikes in Rome?", "What are some good hikes in Rome?"),
    ("What is the meaning of the word serendipity?", "Explain the meaning of the word serendipity."),
]
TWO = [
    ("What is a barometer?", "What does a barometer do?"),
    ("Does Anna like Ben?", "Is Anna liked by Ben?"),
    ("Can I cancel my order?", "Can you cancel my order?"),
    ("Will it rain in Rome tomorrow?", "Would it rain in Rome tomorrow?"),
    ("How does a clock work?", "Why does a clock work?"),
    ("What is 5 plus 5 apples?", "What is 5 plus 6 apples?"),
    ("Was ist eine Uhr aus Holz?", "Was ist die Uhr aus Holz?"),
    ("Why?", "Why so?"),
    ("Who works for Anna?", "Who does Anna work for?"),
    ("How long can a fish live?", "How long does a fish live?"),
    ("Is it very dangerous to dive at night?", "Is it dangerous to dive at night?"),
    ("What is a gift for a teacher?", "What is a gift from a teacher?"),
    ("How do I talk to a child about war?", "How do I talk about a child to war?"),
    ("Redirect http to https in nginx", "Redirect https to http in nginx"),
    ("Can you see me through my camera?", "Can I see you through my camera?"),
    (
        "What does a surveyor check that the valuation doesn't?",
        "What does the valuation check that a surveyor doesn't?",
    ),
    ("A recipe for 4 needs 300 g. How much for 7?", "A recipe for 7 needs 300 g. How much for 4?"),
]


@pytest.mark.parametrize(("one", "other"), ONE)
def test_the_same_words_in_another_frame(one: str, other: str) -> None:
    assert reworded(Pair(read(one), read(other)))
    assert reworded(Pair(read(other), read(one)))


@pytest.mark.parametrize(("one", "other"), TWO)
def test_another_question(one: str, other: str) -> None:
    assert not reworded(Pair(read(one), read(other)))
    assert not reworded(Pair(read(other), read(one)))
