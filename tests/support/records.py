"""Records of calls that are over, of which a test says what matters to it."""

from typing import Any

from askonce.accounting import CallRecord

__all__ = ["record"]

_COMMON: dict[str, Any] = {
    "outcome": "miss",
    "upstream": "openai-chat",
    "wire": "openai-chat",
    "model": "gpt-4o",
    "status": 200,
    "seconds": 0.8,
}


def record(**fields: Any) -> CallRecord:
    """A miss of a chat, but for `fields`."""
    return CallRecord(**_COMMON | fields)
