"""What keeps an answer out of the cache, whatever its format."""

import json

import pytest

from askonce.call import Unstorable
from askonce.wire.keeping import assembling, holds, refuse_bad_arguments, refuse_error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KeyError("usage"), "usage is missing"),
        (KeyError(3), "it refers to a part that is not there"),
        (IndexError("list index out of range"), "it refers to a part that is not there"),
        (ValueError("no number"), "no number"),
        (TypeError("'NoneType' object is not iterable"), "a value is not of the kind that belongs there"),
        (AttributeError("'int' object has no attribute 'get'"), "a value is not of the kind that belongs there"),
    ],
)
def test_what_a_malformed_answer_raises_is_told_in_words(error: Exception, words: str) -> None:
    with pytest.raises(Unstorable) as caught, assembling("w"):
        raise error
    assert str(caught.value) == f"not a whole w answer: {words}"


def test_what_has_its_words_keeps_them_and_what_is_no_fault_of_the_answer_is_raised() -> None:
    with pytest.raises(Unstorable, match=r"^as it is$"), assembling("w"):
        raise Unstorable("as it is")
    with pytest.raises(MemoryError), assembling("w"):
        raise MemoryError


@pytest.mark.parametrize(
    "text",
    ['{"a": 1', '{"a": 1}{"b": 2}', "{'a': 1}", '{"a": NaN}', "Paris", '{"a": "b\nc"}', '{"a": 1},'],
)
def test_arguments_that_are_no_json(text: str) -> None:
    with pytest.raises(Unstorable, match=r"^a tool call's arguments are not JSON: "):
        refuse_bad_arguments(text)


@pytest.mark.parametrize("good", ["", " ", "{}", '{"a": 1}', "[]", "null", json.dumps({"a": "é\n"}), {"a": 1}, None])
def test_arguments_that_may_be_kept(good: object) -> None:
    refuse_bad_arguments(good)


def test_holds() -> None:
    assert holds({"a": [{"b": {"c": 1}}]}, "c")
    assert not holds({"a": [{"b": {"c": None}}], "d": "c"}, "c")


def test_an_error_is_told_by_its_message_where_that_is_a_word() -> None:
    refuse_error({"error": None})
    for error in ("busy", {"message": "busy", "type": "overloaded"}):
        with pytest.raises(Unstorable, match=r"^error: busy$"):
            refuse_error({"error": error})


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("no answer to: Who am I?", "not named"),
        ({"message": "Incorrect key: sk-1"}, "not named"),
        ({"message": "Who am I?", "type": "invalid_request_error"}, "invalid_request_error"),
        ({"message": "Who am I?", "type": ["x"], "code": 529}, "529"),
        ({"message": "Who am I?", "type": "x" * 41, "code": True}, "not named"),
    ],
)
def test_no_text_of_an_error_is_told_that_may_repeat_what_was_asked(error: object, told: str) -> None:
    with pytest.raises(Unstorable, match=f"^error: {told}$"):
        refuse_error({"error": error})
