"""Cutting text at token borders: with a real tiktoken table (a small one), and without any."""

import hashlib
import logging
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from askonce.wire import tokens


@pytest.fixture
def small_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of all bytes and a few words, in place of the one that is fetched."""
    ranks = {bytes([octet]): octet for octet in range(256)}
    for word in (b"th", b"the", b" c", b" ca", b" cat"):
        ranks[word] = len(ranks)
    table = tiktoken.Encoding("small", pat_str=r" ?\w+|\s|[^\w\s]", mergeable_ranks=ranks, special_tokens={})
    monkeypatch.setattr(tokens, "_tables", {"o200k_base": table, "cl100k_base": None})


@pytest.fixture
def no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_tables", {"o200k_base": None, "cl100k_base": None})


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Nothing loaded, an empty cache, and nobody at the table's address."""
    monkeypatch.setattr(tokens, "_tables", {})
    monkeypatch.setattr(tokens, "_URL", "http://127.0.0.1:9/{}.tiktoken")
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    yield tmp_path
    _join()


def _join() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("askonce-tokens"):
            thread.join(10)


@pytest.mark.usefixtures("small_table")
def test_pieces_end_where_tokens_end() -> None:
    assert tokens.pieces("the cat") == ["the", " cat"]
    assert tokens.count("the cat") == 2


@pytest.mark.usefixtures("small_table")
def test_a_character_of_several_tokens_stays_whole() -> None:
    assert tokens.pieces("the é🙂") == ["the", " ", "é", "🙂"]
    assert tokens.count("é🙂") == 6


@pytest.mark.usefixtures("small_table")
def test_a_model_without_its_table_is_cut_by_words() -> None:
    assert tokens.pieces("th cat", "gpt-4-0613") == ["th", " cat"]
    assert tokens.pieces("th cats") != tokens.pieces("th cats", "gpt-4")


@pytest.mark.parametrize("table", ["small_table", "no_table"])
@settings(deadline=None)
@given(text=st.text())
def test_pieces_joined_are_the_text(table: str, text: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(table)
    cut = tokens.pieces(text)
    assert "".join(cut) == text
    assert all(cut)
    assert bool(tokens.count(text)) == bool(text)


@pytest.mark.usefixtures("no_table")
def test_without_a_table_text_is_cut_like_tokens() -> None:
    assert tokens.pieces("Hello, world!  It costs 12345.\n") == [
        "Hello", ",", " world", "!", " ", " It", " costs", " ", "123", "45", ".", "\n",
    ]  # fmt: skip


@pytest.mark.usefixtures("small_table")
@pytest.mark.parametrize("text", ["a" * 200_000, "the cat " * 25_000, "the é🙂 " * 30_000])
def test_a_huge_text_is_not_given_to_tiktoken(text: str) -> None:
    cut = tokens.pieces(text)
    assert "".join(cut) == text
    assert len(cut) <= len(text) // 1000 + 1


@pytest.mark.usefixtures("small_table")
def test_a_huge_text_is_counted_in_slices() -> None:
    """It takes neither the interpreter nor memory for as long, or as much, as the text has words."""
    text = "the cat " * 200_000 + "the é🙂 " * 100_000
    tracemalloc.start()
    try:
        counted = tokens.count(text)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < len(text)
    exact = 200_000 * tokens.count("the cat ") + 100_000 * tokens.count("the é🙂 ")
    assert counted == pytest.approx(exact, rel=0.1)


def test_offline_says_so_once_and_waits_for_nothing(offline: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "askonce")
    assert tokens.pieces("one two") == ["one", " two"]
    _join()
    assert tokens.pieces("one two") == ["one", " two"]
    _join()
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("askonce", "WARNING")
    assert "no token table o200k_base" in record.message
    assert "refused" in record.message


def test_what_follows_waits_for_a_table_that_is_built(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    followed, may_fetch = list[str](), threading.Event()
    monkeypatch.setattr(tokens, "_fetch", lambda name: may_fetch.wait(10))
    monkeypatch.setattr(tiktoken, "get_encoding", lambda name: followed.append("built"))
    tokens.load(then=lambda: followed.append("then"))
    assert followed == []
    may_fetch.set()
    _join()
    assert followed == ["built", "then"]


def test_what_follows_is_done_without_a_table_too(offline: Path) -> None:
    followed = list[str]()
    tokens.load(then=lambda: followed.append("refused"))
    _join()
    tokens.load(then=lambda: followed.append("begun before"))
    assert followed == ["refused", "begun before"]


def test_the_loading_thread_does_not_keep_the_process(offline: Path) -> None:
    tokens.load()
    assert all(thread.daemon for thread in threading.enumerate() if thread.name.startswith("askonce-tokens"))


def test_a_table_that_is_something_else_is_not_kept(
    offline: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    login = offline / "o200k_base.tiktoken"
    login.write_text("<html>Please log in</html>")
    monkeypatch.setattr(tokens, "_URL", f"file://{offline}/{{}}.tiktoken")
    tokens.load()
    _join()
    assert "gave something else" in caplog.text
    assert list(offline.iterdir()) == [login]


def test_a_fetched_table_lies_where_tiktoken_looks(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = offline / "o200k_base.tiktoken"
    source.write_bytes(b"dGg= 0\n")
    url = f"file://{offline}/{{}}.tiktoken"
    monkeypatch.setattr(tokens, "_URL", url)
    monkeypatch.setattr(tokens, "_HASHES", {"o200k_base": hashlib.sha256(source.read_bytes()).hexdigest()})
    tokens._fetch("o200k_base")
    name = hashlib.sha1(url.format("o200k_base").encode()).hexdigest()
    assert (offline / name).read_bytes() == source.read_bytes()
    source.unlink()
    tokens._fetch("o200k_base")  # it is there already
