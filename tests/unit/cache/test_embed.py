"""Unit rows, no NaN, and no embedder that does not exist."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from askonce.cache import embed
from askonce.cache.embed import OpenAIEmbedder, WordLlamaEmbedder, find_embedder, load_embedder

TEXTS = ["How do I sort a list in Python?", "Wie wird das Wetter?", "日本の首都はどこですか", "x" * 1500, "\ud800 lone"]


def test_rows_are_unit_vectors(wordllama: WordLlamaEmbedder) -> None:
    rows = wordllama.embed(TEXTS)
    assert rows.shape == (len(TEXTS), wordllama.dimension)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)


def test_a_text_without_tokens_is_zero_and_not_nan(wordllama: WordLlamaEmbedder) -> None:
    assert not wordllama.embed([""]).any()


def test_no_texts(wordllama: WordLlamaEmbedder) -> None:
    assert wordllama.embed([]).shape == (0, 256)


def test_rows_are_what_wordllama_itself_gives(wordllama: WordLlamaEmbedder) -> None:
    import wordllama as package

    model = package.WordLlama.load(cache_dir=Path(package.__file__).parent, disable_download=True)
    np.testing.assert_allclose(wordllama.embed(TEXTS[:4]), model.embed(TEXTS[:4], norm=True), atol=1e-6)


def test_a_row_does_not_depend_on_its_batch(wordllama: WordLlamaEmbedder) -> None:
    np.testing.assert_array_equal(wordllama.embed(TEXTS)[1], wordllama.embed([TEXTS[1]])[0])


ODD = st.sampled_from(
    ["a", "word", " ", "  ", "▁", "<s>", "\n", "\t", "é", "日本", "🙂", "\ud800", "12", "5.", "x" * 40, "?"]
)


@given(pieces=st.lists(st.one_of(ODD, st.text(max_size=5)), max_size=12))
@example(pieces=["a", " ", "b"] * 30)
@example(pieces=["a", " "])
@example(pieces=[" "])
@example(pieces=["  ", "a", "  ", "12", "   ", "word", " " * 40])
def test_word_by_word_the_tokens_are_those_of_the_whole_text(wordllama: WordLlamaEmbedder, pieces: list[str]) -> None:
    text = "".join(pieces)
    for _ in range(2):  # the second time the words are known
        assert wordllama._tokens(text) == wordllama._encode(text)


def test_words_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed, "_WORDS", 3)
    embedder = WordLlamaEmbedder()
    for number in range(10):
        embedder.embed([f"is {number} prime {'x' * 100}"])
        assert 0 < len(embedder._words) <= 3


@pytest.mark.parametrize(
    "name", ["", "bert", "openai", "openai:", "openai:small", "openai:@http://h", "openai:m@ftp://h"]
)
def test_an_unknown_embedder_is_refused_at_once(name: str) -> None:
    with pytest.raises(ValueError, match=r"unknown embedder .*there are: wordllama, openai:<model>@<base_url>"):
        find_embedder(name)


class Provider(BaseHTTPRequestHandler):
    """An OpenAI-compatible /embeddings whose vectors tell the length of the text."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        data = [
            {
                "object": "embedding",
                "index": i,
                "embedding": [float(len(text)), 2.0, 0.0][: 2 if text == "short" else 3],
            }
            for i, text in enumerate(asked["input"])
        ]
        body = json.dumps({"object": "list", "model": asked["model"], "data": data[::-1], "usage": {}}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def provider() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Provider) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()
        thread.join()


def test_openai_compatible_endpoint(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # that would be ourselves
    embedder = load_embedder(f"openai:small@{provider}")
    assert isinstance(embedder, OpenAIEmbedder)
    assert (embedder.name, embedder.dimension) == (f"openai:small@{provider}", 3)
    rows = embedder.embed(["", "ab"])
    np.testing.assert_allclose(rows, [[0, 1, 0], [0.5**0.5, 0.5**0.5, 0]], rtol=1e-6)
    with pytest.raises(ValueError, match="shape"):
        embedder.embed(["short"])
    embedder.close()
