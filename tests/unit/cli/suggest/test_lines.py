"""Lines of rules.yaml, and what they are found to overlook."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from askonce.cli.suggest.lines import Normalise, normalise_lines, paths_to
from askonce.cli.suggest.noise import text_noise
from askonce.rules.patterns import parse_jsonpath, parse_text


def lines(one: str, other: str) -> list[Normalise] | None:
    noise = text_noise(one, other)
    assert noise
    return normalise_lines("$.x", one, other, noise)


def read(text: str, found: list[Normalise]) -> str:
    for line in found:
        text = parse_text(line.pattern).sub(lambda _, to=line.to: to, text)  # type: ignore[misc]
    return text


def test_a_pattern_has_what_is_around_the_noise() -> None:
    found = lines("You help.\nNow: 10:05:13 (UTC)\nBe brief.", "You help.\nNow: 11:15:14 (UTC)\nBe brief.")
    assert found == [Normalise("$.x", "time", "Now: {number}:{number}:{number} (UTC)", "Now: (time) (UTC)")]


def test_noise_near_other_noise_is_one_pattern() -> None:
    found = lines("ran pid 12 at 10:05, port 8123", "ran pid 345 at 10:06, port 9999")
    assert found and [line.pattern for line in found] == ["ran pid {number} at {number}:{number}, port {number}"]


def test_noise_on_two_lines_is_two_patterns() -> None:
    texts = "Start: 10:05\nEnd: 10:06\n", "Start: 11:07\nEnd: 11:08\n"
    found = lines(*texts)
    assert found and [line.pattern for line in found] == ["Start: {number}:{number}", "End: {number}:{number}"]
    assert read(texts[0], found) == read(texts[1], found)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("10:05 is now", "10:06 is now"),
        ("id " + "0a" * 60, "id " + "1b" * 60),
        ("Now {hex}10:05", "Now {hex}10:06"),
        ("at 1:05 {hex} 1:05", "at 1:06 {hex} 1:06"),
    ],
)
def test_what_cannot_be_said(one: str, other: str) -> None:
    noise = text_noise(one, other)
    assert noise is None or normalise_lines("$.x", one, other, noise) is None


WORDS = st.sampled_from(["Now:", "the end", "pid", "\n", " ", "in /tmp/", "(", "{number}", "port 80"])
TIME = ("10:05:13", "11:06:14")
NOISE = st.sampled_from([TIME, ("pid 3", "pid 44"), ("0a1b2c3d", "ffee0011"), ("tmpa1", "tmpb2")])


@given(st.lists(st.tuples(WORDS, NOISE), min_size=1, max_size=4), WORDS)
@example([("Now:", TIME), ("\n", TIME), ("Now:", TIME)], "Now:")
def test_the_lines_make_one_text_of_both(pieces: Any, end: str) -> None:
    texts = tuple("".join(f" {word} {noise[side]}" for word, noise in pieces) + f" {end}" for side in (0, 1))
    noise = text_noise(*texts)
    found = noise and normalise_lines("$.x", *texts, noise)
    if found:
        assert read(texts[0], found) == read(texts[1], found)


BODY: Any = {
    "messages": [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "u"},
        {"role": "tool", "content": "t", "id": 1},
        {"role": "tool", "content": "t", "id": 2},
    ],
    "blocks": [{"type": "out", "output": [{"type": "text", "text": "t"}]}],
    "metadata": {"id": 1},
    "input": [{"type": "message", "id": 1}, {"type": "item_reference", "id": 2}],
}


@pytest.mark.parametrize(
    ("path", "alike", "whole", "expected"),
    [
        (("metadata", "id"), [], True, ["$.metadata.id"]),
        (("messages", 0, "content"), [], False, ["$.messages[?@.role == 'system'].content", "$.messages[0].content"]),
        (("messages", 2, "id"), [("messages", 2, "id")], True, ["$.messages[2].id"]),
        (
            ("messages", 2, "id"),
            [("messages", 2, "id"), ("messages", 3, "id")],
            True,
            ["$.messages[*].id", "$.messages[?@.role == 'tool'].id", "$.messages[2].id"],
        ),
        (
            ("input", 0, "id"),
            [("input", 0, "id")],
            True,
            ["$.input[?@.type == 'message'].id", "$.input[0].id"],
        ),
        (
            ("blocks", 0, "output", 0, "text"),
            [],
            False,
            [
                "$.blocks[?@.type == 'out'].output[?@.type == 'text'].text",
                "$.blocks[?@.type == 'out'].output[0].text",
                "$.blocks[0].output[?@.type == 'text'].text",
                "$.blocks[0].output[0].text",
            ],
        ),
    ],
)
def test_paths_to_a_place(path: Any, alike: Any, whole: bool, expected: list[str]) -> None:
    found = list(paths_to(BODY, path, [*alike, path], whole=whole))
    assert found == expected
    assert all(path in [place for place, _ in parse_jsonpath(one)(BODY)] for one in found)
