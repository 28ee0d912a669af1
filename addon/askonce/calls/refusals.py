"""What a caller reads whom Askonce itself cannot answer, such as one who wants an answer from the cache or none.

One rule: a text that was stored is shown only to a caller with the credential that it was stored for.
"""

from collections.abc import Iterator

import orjson

from askonce.cache import Nearest
from askonce.call import Call, Reply
from askonce.calls.directives import cache_status, detail
from askonce.calls.limits import Limits
from askonce.jsontext import shortened

__all__ = ["broken", "failure", "no_room", "no_websocket", "refusal", "strict_message", "too_large"]

_TO_RECORD = (
    "To record it: askonce exec --mode record (or replay) with the same --cassette or --data,"
    " or pytest --askonce-mode=record."
)
_SHOWN = 200
"""Characters of a prompt."""


def refusal(message: str, kind: str) -> Reply:
    """A 504 (RFC 9111 section 5.2.1.7) whose body every provider's SDK takes for an error of the provider's.

    `kind` is "only-if-cached" or "strict". The header keeps SDKs that know it from asking again.
    """
    error = {"message": message, "type": kind.replace("-", "_"), "param": None, "code": "cache_miss"}
    body = orjson.dumps({"type": "error", "message": message, "error": error})
    headers = (
        ("cache-status", cache_status("fwd=miss", detail(kind))),
        ("x-cache", "MISS"),
        ("x-should-retry", "false"),
    )
    return Reply(body, "application/json", 504, headers)


def failure(message: str) -> Reply:
    """A 502, which SDKs ask again after."""
    error = {"message": message, "type": "bad_gateway", "param": None, "code": None}
    return Reply(orjson.dumps({"error": error}), "application/json", 502)


def broken() -> Reply:
    """A 500 to a request for Askonce itself."""
    return Reply(orjson.dumps({"error": "Internal server error"}), "application/json", 500)


def no_websocket() -> Reply:
    """A 426 (RFC 9110 section 15.5.22) to a client that asks the same without a WebSocket then."""
    error = {"message": "Askonce finds no answers in a WebSocket; ask over HTTP", "type": "upgrade_required"}
    return Reply(orjson.dumps({"error": error}), "application/json", 426, (("upgrade", "HTTP/1.1"),))


def too_large(limit: str, most: int) -> Reply:
    """A 413 to a request for Askonce itself, which nobody else could be given; `limit` is its name in rules.yaml."""
    message = f"the request is larger than Askonce reads ({limit}: {most})"
    error = {"message": message, "type": "request_too_large", "param": None, "code": None}
    return Reply(orjson.dumps({"error": error}), "application/json", 413)


def no_room() -> Reply:
    """A 503 (RFC 9110 section 15.6.4) to a request for Askonce itself, for whose body there is no room now."""
    message = f"Askonce holds as much as it may (limits.max_held: {Limits.in_force.max_held}); ask again"
    error = {"message": message, "type": "overloaded", "param": None, "code": None}
    return Reply(orjson.dumps({"error": error}), "application/json", 503, (("retry-after", "1"),))


def strict_message(upstream: str, call: Call | None, why: str, nearest: Nearest | None) -> str:
    """Why a call has no recorded answer: the stored call that is most like it, and what differs."""
    what = f"{upstream}, {call.model}" if call and call.model else upstream
    lines = [f"Askonce is strict, and no answer to this call is recorded ({what}): {why}"]
    if call and nearest is None:
        lines.append(f"Nothing at all is recorded. It asked: {shortened(call.prompt, _SHOWN)!r}")
    elif nearest:
        lines += _compared(nearest)
    lines.append(_TO_RECORD)
    return "\n".join(lines)


def _compared(nearest: Nearest) -> Iterator[str]:
    names = ", ".join(difference.part for difference in nearest.differs)
    yield f"The nearest recorded call is {nearest.entry.key}; it differs in: {names or 'nothing'}"
    if any(difference.part == "credential" for difference in nearest.differs):
        return
    for part, stored, asked, _ in nearest.differs:
        if stored or asked:
            yield f"  {part}:"
            yield (f"    - recorded: {stored!r}" if stored else "    - recorded: none, or not in the cassette")
            yield f"    + asked:    {asked!r}"
