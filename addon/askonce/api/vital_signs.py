"""Whether the proxy lives and is ready, told without the application, which may not be made yet when a probe asks.

One rule: what is said here is what the routes in `probes` say and document.
"""

import os
import string
import uuid
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import orjson

from askonce.api.product_addresses import View, find_view

__all__ = [
    "HEADERS",
    "LIVE",
    "READY",
    "Answered",
    "Fields",
    "liveness",
    "readiness",
    "request_id",
    "resident_kilobytes",
    "vital_sign",
]

type Fields = Sequence[tuple[bytes, bytes]]
"""Header fields as they are sent."""
type Answered = tuple[int, Fields, bytes]
"""Status, header fields and body."""

LIVE, READY = "/health/live", "/health/ready"

HEADERS = {
    "cache-control": "no-store",
    # The pages bring their own scripts; nothing may be fetched from, or framed by, anybody else.
    "content-security-policy": "default-src 'self' 'unsafe-inline' data: blob:; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""What every response carries, besides `X-Request-Id`."""
_ID = frozenset(string.ascii_letters + string.digits + "-_.:+/=")


def liveness(uptime: float) -> dict[str, object]:
    """That it runs, and for how many seconds."""
    return {"status": "alive", "alive": True, "uptime": int(uptime)}


def readiness(reason: str | None, failure: str) -> tuple[int, dict[str, object]]:
    """Status and body: whether it can do its work, and where not, the `reason`; or only with what is there, because of
    the `failure` to keep more."""
    well = reason is None and not failure
    checks = {"redis": well, "database": well, "config": True}
    if reason is None and failure:
        return 200, {"status": "degraded", "ready": True, "error": failure, "checks": checks}
    if well:
        return 200, {"status": "ready", "ready": True, "checks": checks}
    return 503, {"status": "not ready", "ready": False, "error": reason, "checks": checks}


def request_id(given: str) -> str:
    """The caller's, where it is one that may stand in a header; else a new one."""
    return given if given and len(given) <= 128 and _ID.issuperset(given) else str(uuid.uuid4())


def vital_sign(
    method: str, url: str, fields: Fields, *, own_host: str, ready: str | None, failure: str, uptime: float
) -> Answered | None:
    """The answer to a probe at the root; None for any other request.

    `ready` is the reason why the proxy is not, or None; `failure` why nothing can be kept, or empty.
    """
    if method != "GET" or not url.endswith((LIVE, READY)):
        return None
    place = urlsplit(url)
    if (
        place.query
        or place.path not in (LIVE, READY)
        or find_view(place.hostname or "", place.path, own_host) != View()
    ):
        return None
    status, said = readiness(ready, failure) if place.path == READY else (200, liveness(uptime))
    body = orjson.dumps(said)
    given_id = next((value.decode("latin-1") for name, value in fields if name.lower() == b"x-request-id"), "")
    told = {**HEADERS, "x-request-id": request_id(given_id), "content-type": "application/json"}
    told["content-length"] = str(len(body))
    return status, [(name.encode(), value.encode()) for name, value in told.items()], body


def resident_kilobytes() -> int | None:
    """Memory of this process; None where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
    except (OSError, AttributeError, ValueError):
        return None
