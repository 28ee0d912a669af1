"""How many bytes of bodies are held in memory, of all calls together.

One rule: what cannot be held any more is not refused but left alone: a request passes on unread, an answer is not kept.
Counted for the process, as the limits are (`calls/limits.py`), and from any thread.
"""

from threading import Lock

from askonce.calls.limits import Limits

__all__ = ["NO_ROOM", "HeldBodies", "held_bodies"]

NO_ROOM = "more than limits.max_held leaves room for"
"""Why an answer is not kept."""


class HeldBodies:
    """The bytes of each call that is under way: of its request, decoded and not, and of its answer as it is read
    along."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_call = dict[str, int]()
        self.total = 0

    def begin(self, call: str) -> None:
        """A call comes in. Calls are told apart by the id of their flow."""
        with self._lock:
            self._by_call[call] = 0

    def hold(self, call: str, size: int) -> bool:
        """Count `size` more bytes of a call; False, and nothing is counted, where all together would be more than
        `limits.max_held`. What a call holds that is over, or never began, is not counted."""
        with self._lock:
            if self.total + size > Limits.in_force.max_held:
                return False
            if call in self._by_call:
                self._by_call[call] += size
                self.total += size
            return True

    def let_go(self, call: str) -> None:
        """A call is passed on as it comes: it holds nothing of what it held so far."""
        with self._lock:
            self.total -= self._by_call.get(call, 0)
            if call in self._by_call:
                self._by_call[call] = 0

    def end(self, call: str) -> None:
        """A call is over, and holds nothing any more. A second time does nothing."""
        with self._lock:
            self.total -= self._by_call.pop(call, 0)

    @property
    def is_half_full(self) -> bool:
        """Whether nothing should be begun that could not be left halfway."""
        return self.total > Limits.in_force.max_held // 2


held_bodies = HeldBodies()
"""Those of the process."""
