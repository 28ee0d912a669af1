"""What a proxy loads once it runs, loaded before there is one: for a process that forks proxies.

One rule: modules and read-only tables alone. A thread, an event loop, a connection, a file that is written to: each
proxy has its own. onnxruntime, whose threads begin with it, is not for here.
"""

from contextlib import suppress
from importlib import import_module

from askonce.cache.vocabulary import vocabulary

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


def load_ahead() -> None:
    """What is missing is not told here, but by the proxy that needs it."""
    for name in _LATER:
        with suppress(ImportError):
            import_module(name)
    with suppress(OSError, ValueError):
        vocabulary()
