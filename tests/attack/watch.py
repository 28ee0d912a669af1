"""What an attack does to a process: how long it did not answer, what memory and how many descriptors it took.

One rule: nothing is asked of the process but its liveness, and what a busy machine keeps from it is not counted against
it: of the time that an answer took, the time for which the kernel let the process or the prober wait for a processor is
taken away (/proc/…/schedstat, Linux).
"""

from __future__ import annotations

import contextlib
import resource
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tests.waiting import PATIENCE

_PAUSE = 0.01
_REQUEST = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
MIB = 1024 * 1024


@dataclass(frozen=True)
class Figures:
    """What was seen while one watched."""

    stall: float
    """Seconds: the longest that liveness waited for an answer."""
    memory: int
    """Bytes: the highest resident memory above that at the beginning."""
    descriptors: int
    """The most that were open at once."""
    limit: int
    """How many descriptors the process may have."""
    is_alive: bool


class Watch:
    """Watches a process that answers `/health/live` on a port, from `start` to `stop`."""

    def __init__(self, pid: int, port: int) -> None:
        self._proc, self._port = Path(f"/proc/{pid}"), port
        self._limit = resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]
        self._over = threading.Event()
        self._prober = threading.Thread(target=self._probe, daemon=True)
        self._counter = threading.Thread(target=self._count, daemon=True)
        self._stall, self._most = 0.0, 0
        self.probes, self.is_alive = 0, True

    def start(self) -> Watch:
        with contextlib.suppress(OSError):
            (self._proc / "clear_refs").write_text("5")  # the peak begins here: proc(5)
        self._before = self._memory("VmRSS")
        self._prober.start()
        self._counter.start()
        return self

    def stop(self) -> Figures:
        self._over.set()
        self._prober.join()
        self._counter.join()
        try:
            above = max(0, self._memory("VmHWM") - self._before)
        except OSError:
            above, self.is_alive = 0, False
        return Figures(self._stall, above, self._most, self._limit, self.is_alive)

    def _probe(self) -> None:
        connection: socket.socket | None = None
        while not self._over.is_set():
            began, waited = time.monotonic(), self._delays()
            try:
                connection = connection or socket.create_connection(("127.0.0.1", self._port), PATIENCE)
                connection.sendall(_REQUEST)
                if not _answer(connection):
                    raise ConnectionError
            except OSError:
                if connection is None:
                    self.is_alive = False
                    return
                connection.close()
                connection = None
                continue
            took = time.monotonic() - began - _longest(waited, self._delays())
            self._stall, self.probes = max(self._stall, took), self.probes + 1
            time.sleep(_PAUSE)
        if connection:
            connection.close()

    def _count(self) -> None:
        while True:
            is_last = self._over.wait(0.02)
            with contextlib.suppress(OSError):
                self._most = max(self._most, len(list((self._proc / "fd").iterdir())))
            if is_last:
                return

    def _delays(self) -> dict[str, float]:
        """Seconds for which the kernel let each thread of the process, and this one, wait for a processor so far."""
        tasks = [Path("/proc/thread-self"), *(self._proc / "task").glob("*")]
        return {task.name: _run_delay(task) for task in tasks}

    def _memory(self, name: str) -> int:
        for line in (self._proc / "status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
        raise ProcessLookupError


def _longest(before: dict[str, float], after: dict[str, float]) -> float:
    """Of this thread, and of the process's the one that waited most: the others may have waited for that one."""
    waited = {name: delay - before.get(name, delay) for name, delay in after.items()}
    return waited.pop("thread-self") + max(waited.values(), default=0.0)


def _run_delay(task: Path) -> float:
    try:
        return int((task / "schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


def _answer(connection: socket.socket) -> bool:
    """Read one response whole; whether it is one."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (part := connection.recv(65536)):
            return False
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
    )
    while len(body) < length:
        if not (part := connection.recv(65536)):
            return False
        body += part
    return head.startswith(b"HTTP/1.1 200")
