"""What is left of two long prompts once what they share is taken out."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.cache.judge.difference import LONG, difference

REPORT = (
    "The plant in Lyon made 400 tons of glass. Output rose in spring, then fell. Two ovens were replaced in May. " * 6
)


@pytest.mark.parametrize("glue", ["\n\n", " ", "\n---\n"])
@pytest.mark.parametrize("before", [True, False])
def test_only_the_request_is_left(glue: str, before: bool) -> None:
    def prompt(request: str) -> str:
        return request + glue + REPORT if before else REPORT + glue + request

    assert len(prompt("")) > LONG
    asked = "How many ovens were replaced?", "What number of ovens was replaced?"
    assert difference(prompt(asked[0]), prompt(asked[1])) == asked


def test_a_request_may_stand_before_the_text_or_behind_it() -> None:
    asked = "How many ovens were replaced?", "What number of ovens was replaced?"
    before, behind = f"{asked[0]}\n\n{REPORT.strip()}", f"{REPORT.strip()}\n\n{asked[1]}"
    assert difference(before, behind) == asked
    assert difference(behind, before) == asked[::-1]
    assert difference(before, behind.replace("Lyon", "Turin")) is None


def test_a_paragraph_by_itself_beside_a_text_without_a_request_is_one() -> None:
    assert difference(f"{REPORT}\n\nnumber of ovens", f"{REPORT}\n\nhow many ovens") == (
        "number of ovens",
        "how many ovens",
    )
    order = "Summarize this report:\n\n"
    assert difference(f"{order}{REPORT}\n\nOne oven broke", f"{order}{REPORT}\n\nTwo ovens broke") is None


def test_a_paragraph_behind_the_text_may_be_the_request_that_stands_before_it_elsewhere() -> None:
    report, asked = REPORT.strip(), ("How many ovens were replaced?", "number of ovens replaced pls")
    before, behind = f"{asked[0]}\n\n{report}", f"{report}\n\n{asked[1]}"
    assert difference(before, behind) == asked
    assert difference(behind, before) == asked[::-1]
    assert difference(before, f"{report} {asked[1]}") is None, "it stands in the text"
    assert difference(f"{asked[1]}\n\n{report}", behind) is None, "nothing is asked"
    asking = f"{report} Which oven is the oldest?"
    assert difference(f"{asked[0]}\n\n{asking}", f"{asking}\n\n{asked[1]}") is None, "the text asks, too"


def test_another_text_under_the_same_question_is_not_compared() -> None:
    question = "\n\nSummarize this report."
    assert difference(REPORT + question, REPORT.replace("Lyon", "Turin") + question) is None
    assert difference(REPORT + question, "One oven exploded. " + REPORT + question) is None
    assert difference(REPORT + question, REPORT + "It was closed in June." + question) is None


def test_a_question_more_is_not_compared() -> None:
    assert difference(REPORT + "Who runs it?", REPORT) is None
    assert difference(REPORT + "Who runs it?", REPORT + "Who runs it? What does it cost?") is None


def test_a_statement_that_differs_is_no_request() -> None:
    assert difference(REPORT + "Ovens get hot.", REPORT + "Ovens get warm.") is None


def test_short_prompts_stay_whole_unless_they_share_what_they_are_about() -> None:
    assert difference("Who wrote Hamlet?", "Who is the author of Hamlet?") == (
        "Who wrote Hamlet?",
        "Who is the author of Hamlet?",
    )
    assert difference("I have a rash. What is it?", "I have a rash. Tell me what it is.") == (
        "What is it?",
        "Tell me what it is.",
    )
    assert difference("I have a rash. What is it?", "I have a cold. What is it?") == (
        "I have a rash. What is it?",
        "I have a cold. What is it?",
    )


def test_two_long_requests_are_not_compared() -> None:
    long = "How would you " + "very carefully " * 40
    assert difference(REPORT + long + "cut it?", REPORT + long + "melt it?") is None


def test_blanks_at_the_end_of_a_sentence_say_nothing_but_those_of_a_line_do() -> None:
    assert difference(REPORT + "Why? Say it.", REPORT + "Why?  Say it.") == (REPORT + "Why? Say it.",) * 2
    code = "if a:\n    b()\n" * 40
    assert difference(code + "    c()\nWhat is it?", code + "c()\nWhat is it?") is None


@pytest.mark.parametrize("text", ["?" * 8000, ". " * 4000, "?!" * 4000 + "x", " \n" * 4000, "a.b" * 2600])
def test_it_takes_a_moment_whatever_the_text(text: str) -> None:
    started = time.thread_time()
    difference(text, text[:-1] + "q")
    assert time.thread_time() - started < 0.1


sentences = st.lists(st.sampled_from(["It rained. ", "Why?", " Say it.\n", "3.5 tons\n\n", "", "a"]), max_size=8).map(
    "".join
)


@given(sentences, sentences)
def test_it_is_symmetric_and_gives_pieces_of_both(one: str, other: str) -> None:
    found = difference(one, other)
    back = difference(other, one)
    assert (back is None) == (found is None)
    if found is not None and back is not None:
        assert found[0] in one and (found[1] in other or found[0] == found[1])
        assert back == found[::-1] or found[0] == found[1]
