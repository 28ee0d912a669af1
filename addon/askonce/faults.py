"""Faults inside Askonce: counted each, said once. Whoever catches one goes on as if Askonce were not there.

One rule: there is no other reporter. What is not counted here is a fault that nobody sees.
"""

import logging
import threading
import time
from collections.abc import Callable

__all__ = ["Faults", "Foreseen"]

logger = logging.getLogger("askonce")

_AGAIN = 600.0
"""Seconds before the same kind of fault is logged again."""


class Foreseen(Exception):
    """What may go wrong: the message says all that there is to say, and where it was raised adds nothing."""


class Faults:
    """Counts each fault and logs each kind of fault at most once in ten minutes. Thread-safe."""

    def __init__(self, count: Callable[[str], object] = lambda kind: None) -> None:
        self._count = count
        self._said = dict[str, float]()
        self._lock = threading.Lock()

    def report(self, kind: str, error: BaseException, consequence: str) -> None:
        """`kind` is short and stable ("unreadable"); `consequence` says what happens to the call because of it."""
        self._count(kind)
        with self._lock:
            now = time.monotonic()
            if now - self._said.get(kind, -_AGAIN) < _AGAIN:
                return
            self._said[kind] = now
        own_words = isinstance(error, Foreseen | OSError | ValueError)
        logger.warning(
            "%s: %s; %s (said once in ten minutes)",
            kind,
            str(error) or type(error).__name__,
            consequence,
            exc_info=None if own_words else error,
        )
