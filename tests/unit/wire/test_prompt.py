from typing import Any

import pytest

from askonce.rules.patterns import parse_jsonpath
from askonce.wire import prompt
from askonce.wire.base import ReadOptions


def finding(*paths: tuple[str | int, ...]) -> Any:
    return lambda value: [(path, None) for path in paths]


def test_what_is_ignored_is_taken_out_match_by_match() -> None:
    body = {"a": [0, 1, 2], "b": {"c": 1, "d": 2}, "e": 3}
    ignore = [finding(("a", 0), ("a", 1)), finding(("b",), ("b", "c")), finding(("x",), ("e", 0))]
    prompt.overlook(body, ReadOptions(ignore=ignore))
    assert body == {"a": [2], "e": 3}


def test_what_is_normalised_is_rewritten_where_it_is_text_and_before_anything_is_taken_out() -> None:
    body = {"a": ["x", "y", 1], "b": {"c": "z"}}
    every = parse_jsonpath("$..*")
    prompt.overlook(body, ReadOptions(None, [finding(("a", 0))], [(every, str.upper), (parse_jsonpath("$"), str)]))
    assert body == {"a": ["Y", 1], "b": {"c": "Z"}}


@pytest.mark.parametrize(
    ("value", "text", "left"),
    [
        ("a", "a", ""),
        ([], None, []),
        (1, None, 1),
        ({"text": "a"}, "a", {"text": ""}),
        ([{"type": "text", "text": "a"}], "a", [{"type": "text", "text": ""}]),
        ([{"type": "text", "text": "a\nb"}, {"text": "c"}], "a\nb\nc", [{"type": "text", "text": "\n"}, {"text": ""}]),
        (
            [{"text": "<session_context>a</session_context>"}, {"text": "b"}],
            "b",
            [{"text": "<session_context>a</session_context>"}, {"text": ""}],
        ),
        ("<system-reminder>a</system-reminder>\n", None, ...),
        ([{"type": "image", "text": "a"}, {"text": "b", "thought": True}, {"text": 1}, "c"], None, ...),
    ],
)
def test_cut_text(value: Any, text: str | None, left: Any) -> None:
    holder = {"key": value}
    before = repr(value)
    assert prompt.cut_text(holder, "key") == text
    assert holder["key"] == left if left is not ... else repr(holder["key"]) == before


def test_cut_prompt_takes_the_last_match() -> None:
    body = {"a": "one", "b": ["two", {"text": "three"}]}
    assert prompt.cut_prompt(body, ReadOptions()) is None
    assert prompt.cut_prompt(body, ReadOptions(prompt=finding(("a",), ("b", 1)))) == "three"
    assert body == {"a": "one", "b": ["two", {"text": ""}]}


@pytest.mark.parametrize("found", [(), ((),), (("b",),), (("b", 0),)])
def test_a_prompt_that_is_not_there_is_left_to_the_wire_format(found: tuple[tuple[str | int, ...], ...]) -> None:
    body: dict[str, Any] = {"b": [1]}
    assert prompt.cut_prompt(body, ReadOptions(prompt=finding(*found))) is None
    assert body == {"b": [1]}


def test_the_last_match_that_holds_text_is_the_prompt() -> None:
    body = {"a": "one", "b": [2, None]}
    assert prompt.find_prompt(body, finding(("a",), ("b", 0), ("b", 1), ())) == ("a",)


def test_plain_text_names_what_has_no_words() -> None:
    content = [{"type": "text", "text": "a"}, {"type": "image"}, {"inlineData": {}}]
    assert prompt.plain_text(content) == "a\n[image]\n[inlineData]"


USER = {"role": "user", "content": ""}
SAID = {"role": "assistant", "content": "yes"}


@pytest.mark.parametrize(
    ("messages", "reason", "parts"),
    [
        ([SAID, USER], "", {"history": [SAID]}),
        ([USER], "", {}),
        ([SAID, USER | {"name": "x"}], "", {"history": [SAID, USER | {"name": "x"}]}),
        ([SAID, USER | {"images": ["x"]}], prompt.MEDIA, {"history": [SAID], "media": USER | {"images": ["x"]}}),
        ([USER, SAID], prompt.NOT_THE_USER, {"history": [USER, SAID]}),
    ],
)
def test_the_users_last_message_leaves_the_history_where_only_the_prompt_was_in_it(
    messages: list[Any], reason: str, parts: dict[str, Any]
) -> None:
    assert prompt.around_the_prompt(messages, [], "content", reason) == parts
    first = {"role": "system", "content": "x"}
    assert prompt.around_the_prompt([first, *messages], [], "content", reason, system_first=True) == parts | {
        "system": first
    }


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("<system-reminder>a</system-reminder>", True),
        ("\n<system-reminder>a\nb</system-reminder> <session_context></session_context>\n\n", True),
        ("<system-reminder>a</session_context>", False),
        ("<system-reminder><system-reminder>a</system-reminder></system-reminder>", False),
        ("<system-reminder>a</system-reminder> Why?", False),
        ("Why? <system-reminder>a</system-reminder>", False),
        ("<system-reminder>" * 3, False),
        ("", False),
        (" ", False),
    ],
)
def test_a_text_is_a_reminder_where_nothing_else_is_in_it(text: str, is_one: bool) -> None:
    assert prompt.is_reminder(text) is is_one


def test_reminders_without_an_end_are_read_once() -> None:
    """Where each one's end was looked for, 3,800 of them took 0.85 s, and twice as many four times that."""
    assert not prompt.is_reminder("<system-reminder>" * 200_000)


def test_what_instructs_behind_the_prompt_keeps_its_place() -> None:
    after = {"role": "system", "content": "as whole files"}
    messages = [SAID, USER, after, after]
    assert (prompt.cut_instructions(messages), messages) == ([after, after], [SAID, USER])
    assert prompt.around_the_prompt([USER], [after], "content", "") == {"history": [USER, after]}
    alone = [after]
    assert (prompt.cut_instructions(alone), alone) == ([], [after])
