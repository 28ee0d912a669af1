"""The headers of what a caller is sent: what Askonce says of a call, and what of the provider's headers is repeated.

One rule: nothing of one caller's reaches another; each reply has ids of its own.
"""

import math
import random
from base64 import b64encode

from askonce.cache import REJECTED, WAITING, Entry, Lookup
from askonce.call import Reply
from askonce.calls.broadcast import Broadcast, Headers
from askonce.calls.directives import cache_status, detail
from askonce.calls.state import Dividing, Exchange, FallenBack, State

__all__ = ["Headers", "fresh_id", "of_collapsed", "of_hit", "of_miss", "repeatable"]

_LETTERS = bytes.maketrans(b"+/", b"aB")
_NOT_REPEATED = frozenset(
    """
    age alt-svc cache-control cache-status connection content-encoding content-length content-type date etag expires
    keep-alive last-modified nel proxy-authenticate report-to server-timing set-cookie strict-transport-security te
    trailer transfer-encoding upgrade vary via openai-organization openai-project openai-processing-ms
    """.split()  # noqa: SIM905  # reads better than thirty quoted names
)
_NOT_REPEATED_PREFIXES = (
    "x-askonce-",
    "x-cache",
    "x-similarity-",
    "x-ratelimit-",
    "anthropic-ratelimit-",
    "x-envoy-",
    "cf-",
    "x-amz-",
    "x-ms-",
    "apim-",
)
_REQUEST_IDS = frozenset({"x-request-id", "request-id", "x-amzn-requestid", "x-goog-request-id", "x-correlation-id"})


def of_hit(reply: Reply, exchange: Exchange, entry: Entry, state: State, now: float) -> Reply:
    """`reply`, which is the replayed answer of `entry`, with its headers. `now`: Unix seconds."""
    assert exchange.lookup
    lookup = exchange.lookup
    age, left = max(0, int(now - entry.created)), math.floor(entry.expires - now)
    saved = entry.answer.usage
    similarity = f"{1.0 if lookup.similarity is None else lookup.similarity:.4f}"
    said = (
        *reply.headers,
        *_renewed(entry.answer.headers),
        ("cache-status", cache_status(*_how(lookup, state, left))),
        ("age", str(age)),
        ("x-cache", "HIT"),
        ("x-cache-key", entry.key),
        *_call(exchange),
        ("x-cache-age", str(age)),
        ("x-cache-similarity", similarity),
        ("x-similarity-score", similarity),
        ("x-cache-tokens-saved", f"input={saved.input_tokens}, output={saved.output_tokens}"),
        *((("x-cache-decision", lookup.decision),) if lookup.decision else ()),
    )
    return Reply(reply.body, reply.content_type, reply.status, said)


def _call(exchange: Exchange) -> Headers:
    """What the call is called in `/v1/why`, in traces and in exemplars."""
    return (("x-askonce-call", exchange.identity.key),) if exchange.identity else ()


def _how(lookup: Lookup, state: State, left: int) -> tuple[str, ...]:
    if isinstance(state, FallenBack):  # RFC 9211 section 2.1: what was forwarded is no hit
        status = (f"fwd-status={state.status}",) if state.status else ()
        return ("fwd=stale", *status, f"ttl={left}", "detail=stale-if-error")
    return ("hit", f"ttl={left}", "detail=stale" if lookup.stale else f"detail={lookup.outcome}")


def of_miss(exchange: Exchange, *, is_kept: bool) -> Headers:
    """What the response of the provider says besides, once its status is known; `is_kept`: an answer that is whole and
    good can be."""
    if exchange.bypass:
        return (("cache-status", cache_status("fwd=bypass", detail(exchange.bypass))),)
    why = ("fwd=stale" if exchange.why == "expired" else "fwd=miss") if exchange.directives.read else "fwd=request"
    why = "fwd=partial" if isinstance(exchange.state, Dividing) else why
    similarity = exchange.lookup.similarity if exchange.lookup else None
    near = (("x-cache-similarity", f"{similarity:.4f}"),) if similarity is not None else ()
    reuse = exchange.lookup.reuse if exchange.lookup else None
    kind = (detail(reuse.kind),) if reuse and reuse.kind != "lasting" else ()
    use = exchange.rule.uses.get(reuse.kind) if reuse else None
    if exchange.needs_approval:
        kind = (detail(REJECTED if exchange.why == REJECTED else "awaiting-approval"),)
        is_kept = is_kept and exchange.directives.read and exchange.why not in (WAITING, REJECTED)  # else one stays
    stored = ("stored",) if is_kept and (use is None or use.exact) else ()
    watched = exchange.lookup if exchange.watched else None
    if watched and watched.nearest:
        kind, near = (detail(f"watched-{watched.watched}"),), (*near, ("x-cache-key", watched.nearest.key))
    return (("cache-status", cache_status(why, *stored, *kind)), ("x-cache", "MISS"), *_call(exchange), *near)


def of_collapsed(exchange: Exchange, broadcast: Broadcast) -> Reply:
    """The head of the reply to a call that follows another's response."""
    headers = {name.lower(): value for name, value in broadcast.headers()}
    coding = [(name, headers[name]) for name in ("content-encoding",) if name in headers]
    why = "fwd=stale" if exchange.why == "expired" else "fwd=miss"
    said = (("cache-status", cache_status(why, "collapsed")), ("x-cache", "MISS"), *_call(exchange))
    renewed = _renewed(repeatable(broadcast.headers()))
    return Reply(b"", headers.get("content-type", ""), broadcast.status, (*coding, *renewed, *said))


def fresh_id(prefix: str) -> str:
    """A new identifier such as OpenAI's: the prefix and 29 letters and digits."""
    # random.choices takes three times as long.
    return prefix + b64encode(random.randbytes(22))[:29].translate(_LETTERS).decode()


def repeatable(headers: Headers) -> tuple[tuple[str, str], ...]:
    """The provider's response headers that a replay repeats; names in lower case."""
    return tuple(
        (name, "" if name in _REQUEST_IDS else value)
        for name, value in ((name.lower(), value) for name, value in headers)
        if name not in _NOT_REPEATED and not name.startswith(_NOT_REPEATED_PREFIXES) and value.isascii()
    )


def _renewed(headers: Headers) -> Headers:
    """Repeated response headers, each reply with request ids of its own."""
    return ((name, f"req_{random.getrandbits(128):032x}" if name in _REQUEST_IDS else value) for name, value in headers)
