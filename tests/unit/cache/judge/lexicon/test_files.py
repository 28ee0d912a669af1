"""The forms of the lexicon's files, and what is said of a mistake."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.cache.judge import lexicon
from askonce.cache.judge.lexicon.files import LexiconError, groups, leaders, meanings, named, pairs, words

WORD = st.from_regex(r"[a-z$][a-z.'+-]{0,6}", fullmatch=True)
SHIPPED = sorted(Path(lexicon.__file__).parent.glob("*.txt"))


def numbers(path: Path) -> dict[str, int]:
    return meanings(path, int)


def synonyms(path: Path) -> list[list[str]]:
    return groups(path, least=2)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lexicon") / "file.txt"


@pytest.mark.parametrize(
    ("read", "text", "found"),
    [
        (words, "# a comment\n\nto from\nby\n", ["to", "from", "by"]),
        (words, "c# °c don't für", ["c#", "°c", "don't", "für"]),
        (pairs, "buy/sell up/down\nup/in", [("buy", "sell"), ("up", "down"), ("up", "in")]),
        (groups, "big large\nbig\n", [["big", "large"], ["big"]]),
        (leaders, "km kms\nm\n", {"km": "km", "kms": "km", "m": "m"}),
        (
            named,
            "at least: min\nat most: max\nat least: minimal\n",
            {"at least": ["min", "minimal"], "at most": ["max"]},
        ),
        (numbers, "12: twelve dozen\n", {"twelve": 12, "dozen": 12}),
    ],
)
def test_each_form_is_read(file: Path, read: Callable[[Path], Any], text: str, found: object) -> None:
    file.write_text(text, "utf-8")
    assert read(file) == found


@pytest.mark.parametrize(
    ("read", "text", "said"),
    [
        (words, "to\nfrom to", 'line 2: "to" stands here twice'),
        (words, "# To\nParis", 'line 2: "Paris" has capitals; expected lower case'),
        (pairs, "\n\nbuy", 'line 3: "buy" is no pair; expected two words with one "/" between them'),
        (pairs, "buy/", 'line 1: "buy/" is no pair; expected two words with one "/" between them'),
        (pairs, "a/b/c", 'line 1: "a/b/c" is no pair; expected two words with one "/" between them'),
        (pairs, "a/b\na/b", 'line 2: "a/b" stands here twice'),
        (synonyms, "big large\nbook", 'line 2: "book" is no group; expected at least 2 words'),
        (groups, "big large big", 'line 1: "big large big" has a word twice'),
        (leaders, "km kms\nm kms", 'line 2: "kms" stands here twice'),
        (named, "animal dog", 'line 1: "animal dog" has no name or no words; expected "name: word word"'),
        (named, "animal:", 'line 1: "animal:" has no name or no words; expected "name: word word"'),
        (named, "animal: dog\nanimal: cat dog", 'line 2: "animal" has a word twice'),
        (numbers, "1: one\ntwo: two", 'line 2: "two" is no number'),
        (numbers, "1: one\n2: one", 'line 2: "one" stands here twice'),
    ],
)
def test_a_mistake_is_told_with_its_file_and_line(
    file: Path, read: Callable[[Path], Any], text: str, said: str
) -> None:
    file.write_text(text, "utf-8")
    with pytest.raises(LexiconError) as told:
        read(file)
    assert str(told.value) == f"{file.parent.name}/file.txt, {said}"


@given(st.lists(st.lists(WORD, min_size=1, max_size=4, unique=True), max_size=6))
def test_groups_are_read_as_they_are_written(file: Path, found: list[list[str]]) -> None:
    file.write_text("".join(f"  {'  '.join(group)} \n" for group in found), "utf-8")
    assert groups(file) == found


@pytest.mark.parametrize("path", SHIPPED, ids=[path.name for path in SHIPPED])
def test_a_file_opens_with_what_it_is_its_form_and_its_rule(path: Path) -> None:
    opening = path.read_text("utf-8").partition("\n\n")[0].splitlines()
    assert all(line.startswith("# ") for line in opening)
    assert [line.partition(" ")[2][:5] for line in opening].count("Form:") == 1
    assert any(line.startswith("# Rule: ") for line in opening)
    assert max(map(len, path.read_text("utf-8").splitlines())) <= 120


def test_every_file_is_read() -> None:
    code = "".join(path.read_text("utf-8") for path in Path(lexicon.__file__).parent.glob("*.py"))
    assert [path.name for path in SHIPPED if f'"{path.name}"' not in code] == []
