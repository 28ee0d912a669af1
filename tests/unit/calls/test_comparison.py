"""Where two requests differ in what counts."""

from typing import Any

import pytest

from askonce import jsontext
from askonce.calls.comparison import places
from askonce.calls.kept_request import KeptRequest
from askonce.jsontext.differences import ABSENT
from askonce.rules.patterns import parse_jsonpath
from askonce.wire import WIRE_FORMATS
from askonce.wire.base import ReadOptions

PLAIN = ReadOptions()
CHAT: dict[str, Any] = {
    "model": "gpt-4o",
    "temperature": 0,
    "metadata": {"request_id": "a"},
    "tools": [{"type": "function", "function": {"name": "f", "description": "d"}}],
    "messages": [{"role": "system", "content": "It is ten."}, {"role": "user", "content": "Hi"}],
}


def compared(one: Any, other: Any, wire: str = "openai-chat", options: ReadOptions = PLAIN) -> Any:
    kept = [KeptRequest("/v1/chat/completions", jsontext.loads(jsontext.dumps(body)), {}) for body in (one, other)]
    found = places(WIRE_FORMATS[wire], options, "api.example.com", kept[0], kept[1])
    return [(place.path, place.one, place.other, ", ".join(place.parts)) for place in found]


@pytest.mark.parametrize(
    ("change", "path", "part"),
    [
        ({"model": "o3"}, ("model",), "model"),
        ({"temperature": 1}, ("temperature",), "sampling"),
        ({"metadata": {"request_id": "b"}}, ("metadata", "request_id"), "other"),
        ({"tools": [{"type": "function", "function": {"name": "g"}}]}, ("tools", 0, "function", "name"), "tools"),
        ({"messages": [CHAT["messages"][0], {"role": "user", "content": "Ho"}]}, ("messages", 1, "content"), "prompt"),
        ({"messages": [{"role": "system", "content": "!"}, CHAT["messages"][1]]}, ("messages", 0, "content"), "system"),
        ({"response_format": {"type": "json_object"}}, ("response_format",), "format"),
    ],
)
def test_each_difference_has_its_place_and_its_part(change: dict[str, Any], path: tuple[Any, ...], part: str) -> None:
    assert (path, part) in [(found[0], found[3]) for found in compared(CHAT, CHAT | change)]


def test_what_does_not_count_is_no_difference() -> None:
    other = CHAT | {"stream": True, "metadata": {"request_id": "b"}}
    ignoring = ReadOptions(ignore=[parse_jsonpath("$.metadata")])
    assert compared(CHAT, other, options=ignoring) == []
    assert [found[0] for found in compared(CHAT, other)] == [("metadata", "request_id")]


def test_a_member_that_one_of_them_lacks() -> None:
    assert compared(CHAT, CHAT | {"seed": 1}) == [(("seed",), ABSENT, 1, "sampling")]
    assert compared(CHAT | {"seed": 1}, CHAT) == [(("seed",), 1, ABSENT, "sampling")]


def test_the_prompt_is_named_where_it_stands_among_blocks() -> None:
    def body(date: str, question: str) -> Any:
        reminder = f"<system-reminder>{date}</system-reminder>"
        content = [{"type": "text", "text": reminder}, {"type": "text", "text": question}]
        return {"model": "claude", "max_tokens": 9, "messages": [{"role": "user", "content": content}]}

    found = compared(body("Monday", "Hi"), body("Tuesday", "Ho"), "anthropic-messages")
    assert [(path, part) for path, _, _, part in found] == [
        (("messages", 0, "content", 0, "text"), "history"),
        (("messages", 0, "content", 1, "text"), "prompt"),
    ]


def test_a_rules_own_prompt_is_named() -> None:
    options = ReadOptions(prompt=parse_jsonpath("$.query"))
    found = compared({"query": "a", "id": 1}, {"query": "b", "id": 2}, "generic", options)
    assert [(path, part) for path, _, _, part in found] == [(("query",), "prompt"), (("id",), "other")]


def test_what_cannot_be_read_with_one_difference_alone_counts() -> None:
    other = CHAT | {"messages": [*CHAT["messages"], "no message"]}
    assert [found[3] for found in compared(CHAT, other)] == [""]
