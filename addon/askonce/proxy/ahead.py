"""What a proxy loads once it runs, loaded before there is one: for a process that forks proxies.

One rule: modules and read-only tables alone. A thread, an event loop, a connection, a file that is written to: each
proxy has its own.
"""

from contextlib import suppress
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from askonce.cache.judge import Closer, load_judge
from askonce.cache.vocabulary import vocabulary
from askonce.rules import Document

__all__ = ["load_ahead"]

_LATER = (
    "anyio._backends._asyncio",
    "askonce.api.app",
    "askonce.api.checks",
    "askonce.api.rules",
    "askonce.cache.store.shared.answers",
    "askonce.products.cachecore.routes",
    "askonce.products.gateway.routes",
    "askonce.products.langcache.routes",
    "askonce.products.promptcache.routes",
    "askonce.products.semcache.routes",
    "askonce.proxy.master",
    "encodings.idna",
    "fastapi.openapi.utils",
    "httpx",
    "psycopg_pool",
    "pydantic.v1",
    "tiktoken",
    "tiktoken_ext.openai_public",
    "watchfiles",
)
"""What a proxy with a shared store is made of, and what it imports after its start."""


_THREADLESS = ("1.31.",)
"""Versions of onnxruntime that begin no thread for a network that wants none. Of others, each proxy loads its own."""


def load_ahead(rules: Path) -> None:
    """What is missing, or written wrongly in `rules`, is not told here, but by the proxy that needs it."""
    for name in _LATER:
        with suppress(ImportError):
            import_module(name)
    with suppress(OSError, ValueError):
        vocabulary()
    with suppress(Exception):
        judge = load_judge(Document.load(rules).judge)
        if isinstance(judge, Closer) and version("onnxruntime").startswith(_THREADLESS):
            judge.prepare()
