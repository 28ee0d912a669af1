"""Texts to unit vectors. The one rule: vectors carry their embedder's name, and two names never mix."""

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from askonce.cache.vocabulary import vocabulary
from askonce.jsontext import encodable

__all__ = [
    "ClientOptions",
    "Embedder",
    "OpenAIEmbedder",
    "WordLlamaEmbedder",
    "find_embedder",
    "is_local",
    "load_embedder",
    "waiting_time",
]

type ClientOptions = Callable[[str], Mapping[str, Any]]
"""What an httpx client is given that asks the server of a URL: how it verifies, and by way of which proxy."""

_SPACE = "▁"
"""What the tokenizer makes of a space."""
_TIMEOUT = 5.0
"""Seconds that a remote embedder may take."""
_WORDS, _WORD = 20_000, 32
"""Words whose tokens are remembered, and the characters of the longest of them."""
_SPACED = re.compile(" ( *[^ ]*)")
"""A word with what spaces are before it but one; spaces at the end are one without letters."""
_PIECE = re.compile(r"[0-9][^0-9]*|[^0-9]+")
"""What a word is cut into before each of its digits: no token holds a digit and anything else."""


class Embedder(Protocol):
    """Turns texts into unit vectors. Called from several threads; on the event loop only where it `is_local`."""

    @property
    def name(self) -> str:
        """Goes into every stored row; changes whenever the vectors would."""

    @property
    def dimension(self) -> int: ...

    @property
    def limit(self) -> int:
        """The characters up to which near vectors mean like texts; longer texts are found, and told apart by others."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(len(texts), dimension) rows of length 1, or all zero for a text that says nothing to it. May raise."""


def is_local(embedder: Embedder) -> bool:
    """Whether it says of itself, by an attribute `local`, that it computes in this process and waits for nothing."""
    return bool(getattr(embedder, "local", False))


def waiting_time(embedder: Embedder) -> float:
    """Seconds that one which waits for others may take, by its attribute `timeout`; 0 for one that is local."""
    return 0.0 if is_local(embedder) else float(getattr(embedder, "timeout", _TIMEOUT))


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows at length 1; zero rows stay zero rather than become NaN."""
    if len(rows) == 1:  # a call's prompt: numpy's calls are most of the cost, and these are the fewest
        row = rows[0]
        length = math.sqrt(row @ row)
        return rows / length if length else rows
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    scaled: NDArray[np.float32] = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return scaled


class WordLlamaEmbedder:
    """wordllama's 256 dimensions: weights in its wheel, well under a millisecond a text, no network."""

    name = "wordllama"
    dimension = 256
    local = True
    limit = 400
    """A mean over words: replacing one word of 100 characters moves the cosine by 0.06 (median over real questions), of
    400 by 0.012, of 1,500 by 0.002, which is less than a rewording does. Beyond 400, near says nothing about same."""

    def __init__(self) -> None:
        self._vocabulary = vocabulary()
        self._words: dict[str, list[int]] = {}
        """The tokens of words, and of pieces of such with digits, that were seen before."""
        self._blank = self._encode("a ")[1:]
        """The token of a space at the end, which the tokenizer tells of no text alone."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        # WordLlama.embed does the same in twice the time, and divides by zero for a text without tokens.
        sums = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            if tokens := self._tokens(text):
                np.add.reduce(self._vocabulary.rows(tokens), axis=0, out=sums[row])
        return unit(sums)

    def _tokens(self, text: str) -> list[int]:
        """The ids of the tokens that a text is made of.

        Word by word, since no token of the model's goes on with a space. The tokenizer looks up every two letters in
        tables of megabytes, which after a wait are in no cache: 0.2 ms for a short question.
        """
        if not text or "<" in text or _SPACE in text:  # what may be a token of another sort
            return self._encode(text)
        words = text.split(" ")
        if "" in words:
            words = _SPACED.findall(f" {text}")
        tokens: list[int] = []
        for word in words:
            tokens += self._words.get(word) or self._word(word)
        return tokens

    def _word(self, word: str) -> list[int]:
        """The tokens of a space and a word, which may begin with more spaces, or be nothing else."""
        if not word:
            return self._blank
        if len(word) > _WORD:
            return self._encode(word)
        # A number, new as it may be, is made of pieces that are known.
        first, *rest = _PIECE.findall(word)
        if rest:
            return [*self._piece(first), *(token for piece in rest for token in self._piece(piece)[1:])]
        return self._piece(word)

    def _piece(self, piece: str) -> list[int]:
        """The tokens of a space and a piece."""
        known = self._words.get(piece)
        if known is None:
            if len(self._words) >= _WORDS:
                self._words.clear()
            known = self._words[piece] = self._encode(piece)
        return known

    def _encode(self, text: str) -> list[int]:
        return self._vocabulary.tokens(encodable(text))


class OpenAIEmbedder:
    """Any OpenAI-compatible `/embeddings` endpoint."""

    limit = 8_000

    def __init__(
        self,
        model: str,
        base_url: str,
        *,
        key: str | None = None,
        timeout: float = _TIMEOUT,
        client_options: ClientOptions = lambda _: {},
        floats: bool = True,
    ) -> None:
        """The key is `key`, else $ASKONCE_EMBEDDER_KEY, else $OPENAI_API_KEY.

        `timeout` in seconds for one batch; there are no retries, a slow embedder must not slow the app. Where the
        endpoint knows vectors in base64 only (Voyage), `floats` is false.
        """
        import openai

        key = key or os.environ.get("ASKONCE_EMBEDDER_KEY") or os.environ.get("OPENAI_API_KEY") or "none"
        self.name = f"openai:{model}@{base_url}"
        self.timeout = timeout
        self._model = model
        # Without the environment's proxy: that may well be this very process.
        http = openai.DefaultHttpxClient(trust_env=False, timeout=timeout, **client_options(base_url))
        self._format: Literal["float"] | openai.Omit = "float" if floats else openai.omit  # left out, it is base64
        self._client = openai.OpenAI(api_key=key, base_url=base_url, max_retries=0, http_client=http)

    @cached_property
    def dimension(self) -> int:
        """Asks where no text was embedded yet. Raises OSError: ConnectionError where it may answer another time."""
        return int(self._ask(["dimension"]).shape[1])

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = self._ask(texts)
        self.__dict__.setdefault("dimension", rows.shape[1])  # one question less
        if rows.shape != (len(texts), self.dimension):
            raise ValueError(f"{self.name}: vectors of shape {rows.shape}, expected {(len(texts), self.dimension)}")
        return unit(rows)

    def close(self) -> None:
        """Let go of its connections."""
        self._client.close()

    def _ask(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import openai

        try:
            answer = self._client.embeddings.create(model=self._model, input=list(texts), encoding_format=self._format)
        except openai.OpenAIError as error:
            # In words of our own: a provider's may repeat what it was sent.
            status = getattr(error, "status_code", "")
            passing = isinstance(error, openai.APIConnectionError | openai.InternalServerError | openai.RateLimitError)
            kind = ConnectionError if passing else OSError
            raise kind(f"{self.name}: {type(error).__name__} {status}".strip()) from None
        return np.array([item.embedding for item in sorted(answer.data, key=lambda d: d.index)], dtype=np.float32)


def _asked(embedder: OpenAIEmbedder) -> OpenAIEmbedder:
    """The embedder, once it has answered."""
    _ = embedder.dimension
    return embedder


def find_embedder(name: str, client_options: ClientOptions = lambda _: {}) -> Callable[[], Embedder]:
    """What loads the embedder called `name`: "wordllama" or "openai:<model>@<base_url>".

    Loading is slow (a second, or a request), so do that off the event loop; it raises whatever the embedder's own
    set-up raises. ValueError, at once, for a name that does not exist.
    """
    if name == "wordllama":
        return WordLlamaEmbedder
    kind, _, rest = name.partition(":")
    model, _, base_url = rest.partition("@")
    if kind == "openai" and model and base_url.startswith(("http://", "https://")):
        return lambda: _asked(OpenAIEmbedder(model, base_url, client_options=client_options))
    raise ValueError(f'unknown embedder "{name}"; there are: wordllama, openai:<model>@<base_url>')


def load_embedder(name: str) -> Embedder:
    """The embedder called `name`, loaded; see `find_embedder`."""
    return find_embedder(name)()
