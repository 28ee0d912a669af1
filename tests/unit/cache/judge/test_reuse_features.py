"""What of a prompt asks, and what is seen in it."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.cache.judge.reuse_features import Names, _ends, asked, features, tokens, words


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Where is it?", "Where is it?"),
        ('What does "on the house" mean?', 'What does  "  mean?'),
        ("A text of one line.\n\nWho wrote it?", "Who wrote it?"),
        ("Who wrote it?\n\nA text of one line.", "Who wrote it?"),
        ("Two lines\nwithout a question", "Two lines \n without a question"),
        ('"all of it is quoted"', '"all of it is quoted"'),
    ],
)
def test_the_part_that_asks(prompt: str, expected: str) -> None:
    assert asked(prompt) == expected


def test_a_document_is_left_out() -> None:
    document = "The tenant keeps the flat clean and pays on the first of the month. " * 9
    assert asked(f"{document}\n\nWho pays?") == "Who pays?"
    assert len(asked(document)) < 210


@given(st.text("ab \n\r\t\x0b\u2028?", max_size=30))
def test_the_ends_are_the_first_and_the_last_paragraph_with_a_word(prompt: str) -> None:
    paragraphs = [paragraph for paragraph in prompt.split("\n") if paragraph.strip()] or [prompt]
    assert _ends(prompt) == (paragraphs[0], paragraphs[-1])


def test_words_are_in_lower_case_and_numbers_are_one() -> None:
    assert words(tokens("How Many of the 12 I’ve got?")) == ["how", "many", "of", "the", "#", "i've", "got", "?"]


def test_rare_words_and_names_stand_for_all_of_them() -> None:
    found = features(tokens("how busy is the Quiberon road"), {"how", "is", "the", "busy"})
    assert {"how busy is", "^ how", "the n_ *", "n_ * $"} <= found
    assert not any("quiberon" in name for name in found)


def test_classes_are_seen_wherever_they_stand() -> None:
    found = features(tokens("tell me a joke about cats"), {"tell", "me", "a"})
    assert {"P work", "C WORK", "X 1 work"} <= found


WORDS = st.sampled_from(["what", "is", "the", "my", "joke", "Anna", "12", "?", "zebra", "tell", "me", "C", "\n"])


@given(st.one_of(st.text(max_size=400), st.lists(WORDS, max_size=90).map(" ".join)), st.randoms())
def test_where_names_are_given_those_and_no_other_neighbours_are_told(prompt: str, chance: Random) -> None:
    told, known = tokens(prompt), {"a", "what", "is", "the", "my", "tell", "me"}
    every = features(told, known)
    some = {name for name in every if chance.random() < 0.3} | {"what never", "^"}
    found = features(told, known, lower=words(told), names=Names(some))
    assert some & every <= found <= every
    framed = {"F", "L", "LL", "P", "X", "A", "N"}
    assert not any(name.split(" ")[0] not in framed for name in found - some)
