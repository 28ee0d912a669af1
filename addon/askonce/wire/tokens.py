"""Cutting text where a model's tokens end, and counting tokens.

One rule: nothing here waits. tiktoken fetches its tables from the net and takes half a second to build one, so that
happens once, in a background thread; until a table is there, or where it cannot be had, text is cut by words.
"""

import functools
import hashlib
import logging
import os
import re
import tempfile
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tiktoken import Encoding

__all__ = ["count", "load", "pieces"]

_HASHES = {
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
}
"""SHA-256 of the tables in use, the newest first. That one serves every model that tiktoken does not know."""
_NEWEST = next(iter(_HASHES))
_URL = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"
_TIMEOUT = 5.0
"""Seconds without a byte before a download is given up."""
_LONGEST = 32_000
"""Characters that are cut at the borders of tokens. A stream of that many tokens takes some 20 ms to write, of 4 MiB it
would be seconds and 100 MiB; and tiktoken's time grows faster than the text where that has no spaces."""
_SLICE = 1000
"""Characters of a piece of a longer text."""
_WORDS = re.compile(r" ?[^\W\d_]{1,12}|\d{1,3}| ?[^\w\s]{1,4}|\s+(?=\s)|\s|_+|\w")

_log = logging.getLogger("askonce")
_lock = threading.Lock()
_tables: "dict[str, Encoding | None]" = {}
"""By name, those asked for; None while one is on its way, and for good where it cannot be had."""


def pieces(text: str, model: str = "") -> list[str]:
    """Cut `text` at the borders of the model's tokens; joined, the pieces are `text` again.

    A character that takes several tokens stays whole. A text that is longer than `_LONGEST` is cut into slices.
    """
    if len(text) > _LONGEST:
        return [text[start : start + _SLICE] for start in range(0, len(text), _SLICE)]
    table = load(_table_of(model))
    if table is None:
        return _WORDS.findall(text)
    tokens = table.decode_tokens_bytes(table.encode_ordinary(text))
    if text.isascii():
        return [token.decode() for token in tokens]
    cut, held = list[str](), b""
    for token in tokens:
        held += token
        try:
            cut.append(held.decode())
        except UnicodeDecodeError:
            continue
        held = b""
    return cut


def count(text: str, model: str = "") -> int:
    """How many tokens `text` has; some ten per cent off, by words, until the model's table is there. Of a text that is
    longer than `_LONGEST` slices are counted: 4 MiB held the interpreter for 200 ms, and took 50 MiB."""
    if len(text) > _LONGEST:
        step = -(len(text) * _SLICE // -_LONGEST)
        sample = "".join(text[start : start + _SLICE] for start in range(0, len(text), step))
        return round(count(sample, model) * len(text) / len(sample))
    table = load(_table_of(model))
    return len(_WORDS.findall(text) if table is None else table.encode_ordinary(text))


def load(name: str = _NEWEST, then: Callable[[], object] = lambda: None) -> "Encoding | None":
    """The table of that name where it is there; the first time asked for, it is begun to load.

    A server asks for one that no call has asked for yet: building a table holds the interpreter for up to a quarter
    second. `then` is done in the thread that loads, when it has, whether or not the table could be had; where a table
    was begun before, it is done at once.
    """
    if name in _tables or not _begin(name, then):
        then()
    return _tables[name]


def _begin(name: str, then: Callable[[], object]) -> bool:
    """Load a table in a thread, and do `then`; False where it was begun before, and nothing is done."""
    with _lock:
        if name in _tables:
            return False
        _tables[name] = None
    threading.Thread(target=_load, args=(name, then), name=f"askonce-tokens-{name}", daemon=True).start()
    return True


@functools.lru_cache(1024)
def _table_of(model: str) -> str:
    return (
        "cl100k_base"
        if re.match(r"(ft:)?gpt-(4(-|$)|3\.?5)|text-embedding-|(ft:)?(davinci|babbage)-002", model)
        else _NEWEST
    )


def _load(name: str, then: Callable[[], object]) -> None:
    try:
        _fetch(name)
        import tiktoken  # 60 ms that only a server needs

        _tables[name] = tiktoken.get_encoding(name)
    except Exception as error:
        _log.warning("no token table %s (%s): replayed streams are cut by words, not by tokens", name, error)
    then()


def _fetch(name: str) -> None:
    """Put the table where tiktoken looks before it asks the net, which it would do without a time limit."""
    url = _URL.format(name)
    default = str(Path(tempfile.gettempdir(), "data-gym-cache"))
    folder = os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR", default))
    if not folder:  # its cache is switched off: tiktoken fetches for itself, in this thread
        return
    path = Path(folder, hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest())
    if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == _HASHES[name]:
        return
    with urllib.request.urlopen(url, timeout=_TIMEOUT) as response:
        data = response.read()
    if hashlib.sha256(data).hexdigest() != _HASHES[name]:
        raise ValueError(f"{url} gave something else")
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.write_bytes(data)
    fresh.replace(path)
