"""Whether two answers say the same: what is plain is told, what is not is unknown."""

import pytest

from askonce.cache.learning.answer_comparison import LARGEST, compare, kin, kin_of, text_of


@pytest.mark.parametrize(
    ("one", "other", "verdict"),
    [
        ("Paris.", "paris", "same"),
        ("The answer is  **Paris**", "Paris!", "same"),
        ("card_arrival", "card_linking", "different"),
        ("Paris", "Lima", "different"),
        ("It is Paris.", "Paris", "same"),
        ("Paris, France", "Paris", "unknown"),
        ("Yes", "No", "different"),
        ("Yes, it is.", "It is not.", "different"),
        ("42", "43", "different"),
        ("42 km", "42 km.", "same"),
        ("12.5", "The answer is 12.5.", "same"),
        ("A beats B", "B beats A", "unknown"),
        ("", "Paris", "unknown"),
        ("You owe 5 dollars and you should pay them by the end of next month, as agreed.", "You owe 7.", "unknown"),
        ("word " * 200, "other " * 200, "unknown"),
    ],
)
def test_short_answers_are_compared_by_their_words(one: str, other: str, verdict: str) -> None:
    assert compare(one, other) == verdict
    assert compare(other, one) == verdict


def test_of_longer_answers_only_equal_ones_are_plain() -> None:
    long = "You can sort a list in Python with the sorted function, which returns a new list."
    assert compare(long, long.upper()) == "same"
    assert compare(long, long.replace("can", "cannot")) == "unknown"
    assert compare(long, "No.") == "unknown"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"id":"1","choices":[{"message":{"role":"assistant","content":"Paris."}}],"model":"m"}', "Paris."),
        (b'{"content":[{"type":"text","text":"Paris."},{"type":"text","text":"Yes."}]}', "Paris.\nYes."),
        (b'{"candidates":[{"content":{"parts":[{"text":"Paris."}],"role":"model"}}]}', "Paris."),
        (b'{"message":{"role":"assistant","content":"Paris."},"created_at":"now"}', "Paris."),
        (b'{"content":[{"type":"tool_use","id":"t1","name":"f","input":{"b":1,"a":2}}]}', 'f\n{"a":2,"b":1}'),
        (b'{"label":7,"id":"varies","created":3}', '{"label":7}'),
        (b'"Paris"', "Paris"),
        (b"Paris", "Paris"),
        (b"[1,2]", "[1,2]"),
        (b"\xff", "\ufffd"),
    ],
)
def test_the_text_of_an_answer_is_found_in_any_format(body: bytes, text: str) -> None:
    assert text_of(body) == text


def test_kin_is_equal_for_equal_answers_and_tells_short_from_long() -> None:
    assert kin("Paris.") == kin(" paris ") > 0
    assert kin("Paris") != kin("Lima")
    long = "one two three four five six seven eight nine"
    assert kin(long) == kin(long.upper()) < 0
    assert kin(" . ") == 0
    assert kin_of(b'"Paris"') == kin("paris")
    assert kin_of(b"x" * (LARGEST + 1)) == 0
