"""The corpus is in its form, and as varied as it claims."""

from pathlib import Path

import pytest
from benchmarks.corpus import FOLDER, KINDS, domains, read
from benchmarks.corpus.__main__ import main

INTENT = "= a\n+ b\n+ c\n+ d\n+ e\n+ f\n- unit: g\n- unit: h\n- unit: i\n- unit: j\n- unit: k\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "en" / "cooking.txt"
    path.parent.mkdir()
    path.write_text(text, "utf-8")
    return path


def test_a_file_is_read(tmp_path: Path) -> None:
    domain = read(written(tmp_path, f"# Cooking\n\n{INTENT}! volatile: l\\nm\n"))
    assert (domain.language, domain.name, len(domain.intents)) == ("en", "cooking", 1)
    assert domain.intents[0].rewordings == ["b", "c", "d", "e", "f"]
    assert domain.intents[0].near[0] == ("unit", "g")
    assert (domain.unusable[0].kind, domain.unusable[0].prompt) == ("volatile", "l\nm")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("+ b\n", "line 1: expected"),
        ("a question\n", "line 1: expected"),
        ("= \n", "line 1: a mark without a text"),
        ("= a\n+ b\n", "'a' has 1 rewordings and 0 near misses; expected 5 of each"),
        (INTENT.replace("unit: k", "size: k"), "line 11: 'size' is no kind"),
        (INTENT.replace("+ f", "+ A"), "has 'A' twice"),
        ("! never: a\n", "line 1: 'never' is no kind"),
    ],
)
def test_what_has_no_form_is_told(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"en/cooking\.txt, line") as told:
        read(written(tmp_path, text))
    assert message in str(told.value)


def test_the_corpus_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0, capsys.readouterr().out


def test_near_misses_are_of_every_kind() -> None:
    found = {kind for domain in domains("en") for intent in domain.intents for kind, _ in intent.near}
    assert found == KINDS
    assert FOLDER.is_dir()
