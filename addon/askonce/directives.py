"""What a caller may say about caching with its request, and what Askonce says about it with the answer.

Requests: RFC 9111 section 5.2.1, and the products' own headers. Answers: RFC 9211. One rule: a caller can tighten
what its rule allows, never loosen it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from werkzeug.datastructures import RequestCacheControl
from werkzeug.http import parse_cache_control_header

__all__ = ["OURS", "Directives", "cache_status", "read_directives"]

OURS = frozenset(
    {
        "cache-control",
        "x-cache-namespace",
        "x-cachecore-deps",
        "x-llm-proxy-prompt",
        "x-llm-prompt",
        "x-llm-proxy-upstream",
        "x-llm-proxy-host",
    }
)
"""Request headers meant for Askonce; no provider sees them."""


@dataclass(frozen=True, slots=True)
class Directives:
    """What one request allows."""

    read: bool = True
    """A stored answer may be used (not `no-cache`, not `no-store`)."""
    write: bool = True
    """The answer may be kept (not `no-store`)."""
    max_age: float | None = None
    """Seconds: only an answer at most this old."""
    only_if_cached: bool = False
    """Answer from the cache or not at all (504)."""
    namespace: str = ""


_PLAIN = Directives()


def read_directives(headers: Mapping[str, str]) -> Directives:
    """From request headers with lower-case names. What cannot be understood is passed over, as RFC 9111 asks."""
    control, namespace = headers.get("cache-control"), headers.get("x-cache-namespace", "").strip()
    if control is None:
        return Directives(namespace=namespace) if namespace else _PLAIN
    said = parse_cache_control_header(control.lower(), cls=RequestCacheControl)
    return Directives(
        read=not (said.no_cache or said.no_store),
        write=not said.no_store,
        max_age=max(0, said.max_age) if isinstance(said.max_age, int) else None,
        only_if_cached=said.only_if_cached,
        namespace=namespace,
    )


def cache_status(*parts: str) -> str:
    """The value of `Cache-Status`: `askonce; hit; ttl=86400`."""
    return "; ".join(("askonce", *parts))
