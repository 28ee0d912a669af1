"""The pages as a reader meets them: the site builds, links lead somewhere, and the tools take their configuration."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted(
    page for folder in ("", "docs", "certs", "findings", "changelog.d") for page in (REPOSITORY / folder).glob("*.md")
)
TOOLS = Path(sys.executable).parent


def headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub and the site make them."""
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    names = re.findall(r"^#+ +(.+?)\s*$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-") for name in names}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path) if path else page
        assert there.exists(), target
        assert not anchor or anchor in headings(there), target


def test_the_words_are_few_and_in_order() -> None:
    rows = re.findall(r"^\| (.+?) \|", (REPOSITORY / "docs" / "glossary.md").read_text("utf-8"), re.MULTILINE)
    words = rows[rows.index("word") + 1 :]
    assert words == sorted(words)
    assert len(words) <= 20


def test_the_site_builds(tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "docs", tmp_path / "docs")
    shutil.copy(REPOSITORY / "zensical.toml", tmp_path)
    built = subprocess.run([TOOLS / "zensical", "build", "--strict"], cwd=tmp_path, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    for page in (REPOSITORY / "docs").glob("*.md"):
        name = "" if page.stem == "index" else page.stem
        assert (tmp_path / "site" / name / "index.html").is_file()


def test_every_page_is_in_the_navigation() -> None:
    known = set(re.findall(r'"([\w-]+\.md)"', (REPOSITORY / "zensical.toml").read_text("utf-8")))
    assert known == {page.name for page in (REPOSITORY / "docs").glob("*.md")}


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["towncrier", "build", "--draft", "--version", "next"], id="towncrier"),
        pytest.param(["pre-commit", "validate-config", ".pre-commit-config.yaml"], id="pre-commit"),
    ],
)
def test_a_contributors_tool_takes_its_configuration(command: list[str]) -> None:
    done = subprocess.run([TOOLS / command[0], *command[1:]], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
