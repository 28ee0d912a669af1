"""What an attack does to a process: how long it did not answer, what memory and how many descriptors it took.

One rule: nothing is asked of the process but its liveness (`probe.py`), and what a busy machine keeps from it is not
counted against it: of the time that an answer took, the time for which the kernel let the process or the prober wait
for a processor is taken away (/proc/…/schedstat, Linux).
"""

from __future__ import annotations

import contextlib
import resource
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import PATIENCE

_PROBE = Path(__file__).with_name("probe.py")
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


def worst(seen: Sequence[Figures]) -> Figures:
    """Of several processes that may have as many descriptors each."""
    return Figures(
        max(one.stall for one in seen),
        max(one.memory for one in seen),
        max(one.descriptors for one in seen),
        min(one.limit for one in seen),
        all(one.is_alive for one in seen),
    )


class Watch:
    """Watches a process that answers `/health/live` at an address, from `start` to `stop`."""

    def __init__(self, pid: int, port: int, host: str = "127.0.0.1") -> None:
        self._proc, self._port, self._host = Path(f"/proc/{pid}"), port, host
        self._limit = resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]
        self._over = threading.Event()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._counter = threading.Thread(target=self._count, daemon=True)
        self._stall, self._most = 0.0, 0
        self.probes, self.is_alive = 0, True

    def start(self) -> Watch:
        command = [sys.executable, "-I", str(_PROBE), self._proc.name, self._host, str(self._port), str(PATIENCE)]
        self._prober = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._first = threading.Event()
        self._listener.start()
        self._first.wait()
        with contextlib.suppress(OSError):
            (self._proc / "clear_refs").write_text("5")  # the peak begins here: proc(5)
        self._before = self._memory("VmRSS")
        self._counter.start()
        return self

    def stop(self) -> Figures:
        self._over.set()
        assert self._prober.stdin
        self._prober.stdin.close()
        self._listener.join()
        self._counter.join()
        try:
            above = max(0, self._memory("VmHWM") - self._before)
        except OSError:
            above, self.is_alive = 0, False
        return Figures(self._stall, above, self._most, self._limit, self.is_alive)

    def _listen(self) -> None:
        with self._prober as prober:
            assert prober.stdout
            for line in prober.stdout:
                self._stall, self.probes = max(self._stall, float(line)), self.probes + 1
                self._first.set()
        if prober.returncode:
            self.is_alive = False
        self._first.set()

    def _count(self) -> None:
        while True:
            is_last = self._over.wait(0.02)
            with contextlib.suppress(OSError):
                self._most = max(self._most, len(list((self._proc / "fd").iterdir())))
            if is_last:
                return

    def _memory(self, name: str) -> int:
        for line in (self._proc / "status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
        raise ProcessLookupError
