"""Characters that nobody sees: which make a prompt exact-only, and which writing needs."""

import unicodedata

import pytest

from askonce.cache.judge.characters import composed, hidden, indents, spaces

HIDDEN = {
    "\u200b": "zero width space",
    "\u200c": "zero width non-joiner",
    "\u200d": "zero width joiner",
    "\u2060": "word joiner",
    "\ufeff": "zero width no-break space",
    "\u00ad": "soft hyphen",
    "\u034f": "combining grapheme joiner",
    "\u202e": "right-to-left override",
    "\u2066": "left-to-right isolate",
    "\u200e": "left-to-right mark",
    "\u061c": "arabic letter mark",
    "\ufe0f": "variation selector-16",
    "\ufe00": "variation selector-1",
    "\U000e0100": "variation selector-17",
    "\u180b": "mongolian free variation selector one",
    "\U000e0041": "tag latin capital letter a",
    "\u3164": "hangul filler",
    "\u115f": "hangul choseong filler",
    "\uffa0": "halfwidth hangul filler",
    "\u2800": "braille pattern blank",
    "\u2064": "invisible plus",
    "\ufff9": "interlinear annotation anchor",
    "\ue000": "private use",
    "\U00100000": "private use",
    "\u0378": "unassigned",
    "\ufffe": "unassigned",
    "\ud800": "surrogate",
    "\x00": "control character",
    "\x1b": "control character",
    "\x7f": "control character",
    "\x85": "control character",
}


@pytest.mark.parametrize("character", HIDDEN)
@pytest.mark.parametrize("frame", ["What is the capital{} of France?", "{}Hi", "Why?{}", "été {} x", "a\n{}b"])
def test_a_hidden_character_is_named(character: str, frame: str) -> None:
    assert hidden(frame.format(character)) == f"U+{ord(character):04X} {HIDDEN[character]}"
    assert hidden(frame.format("")) == ""


@pytest.mark.parametrize(
    "text",
    [
        "What is the capital of France?\n\t- Paris\r\n",
        "What does ❤️ mean? And ☎︎?",
        "👩‍🚀 and 👩🏽‍🚀 and 👁️‍🗨️ and ❤️‍🔥 and 1️⃣",
        "می‌خواهم بدانم",
        "क्‍ष और क्‌ष",
        "ශ්‍රී ලංකා",
        "ราคาเสื้อ, עִבְרִית, عَرَبِيّ, ខ្មែរ, မြန်မာ",
        "a\u3000b\u00a0c\u2028d",
        unicodedata.normalize("NFD", "Giá của má?"),
    ],
)
def test_what_writing_needs_is_not_hidden(text: str) -> None:
    assert hidden(text) == ""


@pytest.mark.parametrize(
    "text", ["👩‍‍🚀", "👩‍ x", "❤️️", "x‍y", "می‌‌خواهم", "می‌ خواهم", "5️ x", "👍\U000e0100", "🏴\U000e0067"]
)
def test_a_joiner_or_selector_where_it_does_nothing_is_hidden(text: str) -> None:
    assert hidden(text)


def test_every_character_of_no_use_to_a_reader_is_hidden() -> None:
    for number in range(0x110000):
        character = chr(number)
        if unicodedata.category(character) in ("Cf", "Cn", "Co", "Cs") or "VARIATION SELECTOR" in unicodedata.name(
            character, ""
        ):
            assert hidden(f"a{character}b"), f"U+{number:04X}"


def test_the_same_text_to_unicode_is_the_same_text() -> None:
    assert composed("e\u0301 \u212b") == "é Å"
    assert composed("x² ﬁ ＡＢ") == "x² ﬁ ＡＢ"


def test_spaces_count_where_there_is_more_than_a_line_of_prose() -> None:
    assert spaces("a  b c", literal=False) == ()
    assert spaces("a  b c", literal=True) == ((2, "  "),)
    assert spaces("a  b\nc", literal=False) == ((2, "  "), (1, "\n"))
    assert spaces("a\tb", literal=False) == ((1, "\t"),)


def test_indents_are_those_of_all_lines_that_say_something() -> None:
    assert indents("a\n  b\n\n\tc\nd\n") == ("", "  ", "\t", "")
    assert indents("a\nb") == indents("  a\n") == ()
