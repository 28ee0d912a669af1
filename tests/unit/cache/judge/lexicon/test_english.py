"""The list of English words: what is in it, and that each of its lines is found."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.cache.judge.lexicon.english import WORDS, WordList, is_known, is_word

LINES = WORDS.read_text("utf-8").splitlines()
LISTED = [line for line in LINES if line and not line.startswith("#")]
LIST = WordList(WORDS)


def test_it_is_in_order_each_once() -> None:
    assert sorted(set(LISTED)) == LISTED
    assert LINES[LINES.index("") + 1 :] == LISTED, "the comment stands before them"


def test_each_line_is_found() -> None:
    for word in (*LISTED[:50], *LISTED[::97], *LISTED[-50:]):
        assert word in LIST


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=8))
def test_nothing_else_is_found(word: str) -> None:
    assert (word in LIST) == (word in LINES)


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_list_may_end_without_a_line_end(tmp_path: Path, end: str) -> None:
    path = tmp_path / "words.txt"
    path.write_text(f"# words\n\nB\na\nbb{end}", "utf-8")
    found = WordList(path)
    assert [word for word in ("A", "B", "a", "b", "bb", "bbb") if word in found] == ["B", "a", "bb"]


def test_a_name_is_no_word_in_lower_case() -> None:
    assert is_word("population") and is_known("population")
    assert not is_word("mozart") and is_known("mozart")
    assert not is_word("hdmi") and not is_known("norlund")
