"""What a caller may say about caching with its request, and what Askonce says about it with the answer.

Requests: RFC 9111 section 5.2.1, RFC 5861 section 4, and the products' own headers. Answers: RFC 9211. One rule: a
caller can tighten what its rule allows, never loosen it.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.request import parse_http_list

__all__ = ["Directives", "cache_status", "detail", "read_directives"]

_TOKEN = re.compile(r"[A-Za-z*][A-Za-z0-9:/!#$%&'*+.^_`|~-]*")
_UNPRINTABLE = re.compile(r"[^ -~]")
_LONGEST = 2**31
"""Seconds; RFC 9111 section 1.2.2 lets a cache stop counting there."""


@dataclass(frozen=True, slots=True)
class Directives:
    """What one request allows."""

    read: bool = True
    """A stored answer may be used (not `no-cache`, not `no-store`)."""
    write: bool = True
    """The answer may be kept (not `no-store`)."""
    max_age: float | None = None
    """Seconds: only an answer at most this old."""
    min_fresh: float = 0.0
    """Seconds: only an answer that will be fresh for so long."""
    max_stale: float = math.inf
    """Seconds past its lifetime that an answer may be, where the rule allows any; without the directive, what the rule
    allows. An answer's age or freshness limited by the caller leaves no room for stale ones."""
    stale_if_error: float = math.inf
    """The same where the provider fails."""
    only_if_cached: bool = False
    """Answer from the cache or not at all (504)."""
    namespace: str = ""


_PLAIN = Directives()


def read_directives(headers: Mapping[str, str]) -> Directives:
    """From request headers with lower-case names. What cannot be understood is passed over, as RFC 9111 asks."""
    control, namespace = headers.get("cache-control"), headers.get("x-cache-namespace", "").strip()
    if control is None:
        return Directives(namespace=namespace) if namespace else _PLAIN
    said = _said(control.lower())
    max_age, min_fresh, max_stale = (_seconds(said.get(name)) for name in ("max-age", "min-fresh", "max-stale"))
    # `max-stale` alone means however stale, which is as far as the rule goes anyway.
    only_if_cached = "only-if-cached" in said
    if max_age is not None or min_fresh is not None or only_if_cached:
        max_stale = 0.0
    stale_if_error = _seconds(said.get("stale-if-error"))
    if stale_if_error is None:
        stale_if_error = max_stale
    return Directives(
        read=not ("no-cache" in said or "no-store" in said),
        write="no-store" not in said,
        max_age=max_age,
        min_fresh=min_fresh or 0.0,
        max_stale=math.inf if max_stale is None else max_stale,
        stale_if_error=math.inf if stale_if_error is None else stale_if_error,
        only_if_cached=only_if_cached,
        namespace=namespace,
    )


def _said(control: str) -> dict[str, str]:
    """Directives and their arguments, these without quotes, empty where there is none: RFC 9111 section 5.2."""
    parts = (part.partition("=") for part in parse_http_list(control))
    return {name.strip(): value.strip().removeprefix('"').removesuffix('"') for name, _, value in parts}


def _seconds(argument: str | None) -> float | None:
    """A directive's argument; None where it has none, or none that is a number."""
    try:
        return float(min(max(0, int(argument or "")), _LONGEST))
    except ValueError:
        return None


def cache_status(*parts: str) -> str:
    """The value of `Cache-Status`: `askonce; hit; ttl=86400`. Texts are to be quoted, as by `detail`."""
    return "; ".join(("askonce", *parts))


@lru_cache(256)
def detail(text: str) -> str:
    """The parameter `detail`, a token where `text` is one and else a string; a string has no sign beyond ASCII."""
    if _TOKEN.fullmatch(text):
        return f"detail={text}"
    import http_sf

    return f"detail={http_sf.ser(_UNPRINTABLE.sub('?', text))}"
