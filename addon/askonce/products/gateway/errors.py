"""What the gateway's calls and its management routes share: the shape of its errors, and who asked how often.

One rule: nothing here knows a request; whoever answers one says what went wrong by a code of `PROBLEMS`.
"""

import threading
import time
from collections import Counter
from typing import Literal, NamedTuple

from askonce.jsontext import rfc3339
from askonce.network.api_keys import ApiKey

__all__ = ["PROBLEMS", "Code", "Kind", "User", "Users", "code_of", "problem", "timestamp"]

Code = Literal[
    "invalid_api_key",
    "rate_limit_exceeded",
    "model_not_found",
    "invalid_request",
    "provider_error",
    "internal_error",
    "permission_denied",
    "not_found",
    "method_not_allowed",
    "request_too_large",
    "unavailable",
]


class Kind(NamedTuple):
    status: int
    type: str


PROBLEMS: dict[Code, Kind] = {
    # As the document has them
    "invalid_api_key": Kind(401, "authentication_error"),
    "rate_limit_exceeded": Kind(429, "rate_limit_error"),
    "model_not_found": Kind(400, "invalid_request_error"),
    "invalid_request": Kind(400, "invalid_request_error"),
    "provider_error": Kind(502, "provider_error"),
    "internal_error": Kind(500, "internal_error"),
    # What it leaves out
    "permission_denied": Kind(403, "permission_error"),
    "not_found": Kind(404, "invalid_request_error"),
    "method_not_allowed": Kind(405, "invalid_request_error"),
    "request_too_large": Kind(413, "invalid_request_error"),
    "unavailable": Kind(503, "internal_error"),
}
_BY_STATUS: dict[int, Code] = {kind.status: code for code, kind in reversed(PROBLEMS.items())} | {
    400: "invalid_request"
}


def code_of(status: int) -> Code:
    """The code for what only has an HTTP status."""
    return _BY_STATUS.get(status) or ("invalid_request" if status < 500 else "internal_error")


def problem(code: Code, message: str, request_id: str) -> dict[str, object]:
    """An error's body."""
    return {
        "error": {"code": code, "message": message, "type": PROBLEMS[code].type},
        "timestamp": timestamp(),
        "request_id": request_id,
    }


def timestamp() -> str:
    """Now, as `2026-01-19T12:00:00Z`."""
    return rfc3339(time.time())


class User(NamedTuple):
    api_key: str
    """Masked."""
    requests: int


class Users:
    """How often each key asked since the start. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests = Counter[tuple[str, str]]()
        self._throttled = 0

    def asked(self, key: ApiKey, *, throttled: bool = False) -> None:
        """Count a request, answered or turned away."""
        with self._lock:
            self._requests[key.id, key.hint] += 1
            self._throttled += throttled

    @property
    def throttled(self) -> int:
        return self._throttled

    def top(self, limit: int = 10) -> list[User]:
        """Who asked most, the most first."""
        with self._lock:
            return [User(hint, count) for (_, hint), count in self._requests.most_common(limit)]
