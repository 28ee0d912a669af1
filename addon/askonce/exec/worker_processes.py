"""`askonce serve --workers N`: N processes that listen at one address, and the one that they come from.

That one loads once what all of them need, and forks them: what nobody writes to is in memory once.

Two rules. A worker that crashes is replaced, and the others go on; where the first cannot start, nobody does, and what
it said and its exit code are all there is. And the process that forks has one thread, no event loop and no connection:
whatever is more than bytes in memory is made by each worker for itself.
"""

import contextlib
import gc
import logging
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

from askonce.accounting.workmates import socket_of
from askonce.exec.proxy_process import ProxyError, check_address, free_port, hold_address
from askonce.settings import Settings, Worker

__all__ = ["cores", "run_workers"]

logger = logging.getLogger("askonce")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
"""Seconds before a worker that crashed is replaced: twice as many each time, until one has lived for the longest."""
_STOP_TIME = 50.0
"""Seconds before a worker is killed: calls under way have 30 to end, then all is written down; and whoever stops us may
wait for 60."""
_LOOK = 0.05
"""Seconds between two looks at whether the first worker listens."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
"""They are waited for, and do nothing by themselves."""


def cores() -> int:
    """The processor's that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def run_workers(settings: Settings, count: int, load: Callable[[], object], serve: Callable[[Settings], int]) -> int:
    """Run so many until SIGTERM or SIGINT; the exit code. Raises `ProxyError` where nothing can listen there.

    `load` puts into memory what all workers need, and starts no thread; `serve` is what each of them does, with an
    exit code.
    """
    if sys.platform != "linux":
        raise ProxyError("--workers: only Linux shares a port's connections out; run one, or give each a port")
    if settings.listen_port == 0:
        settings = replace(settings, listen_port=free_port(settings.client_host))
    check_address(settings)  # another proxy that shares its port would take half of the calls
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    with hold_address(settings), tempfile.TemporaryDirectory(prefix="askonce-") as folder:
        os.environ["OPENBLAS_NUM_THREADS"] = "1"  # its threads begin when it is loaded
        gc.disable()  # what is collected leaves holes in pages that are shared, and what fills them makes copies
        load()
        return _Parent(settings, count, Path(folder), serve).run()


@dataclass(slots=True)
class _Place:
    """One of the workers, from the first to its last replacement."""

    number: int
    pid: int = 0
    """0 while there is none."""
    begun: float = 0.0
    due: float = 0.0
    """When there is to be one again."""
    pause: float = _FIRST_PAUSE


class _Parent:
    def __init__(self, settings: Settings, count: int, folder: Path, serve: Callable[[Settings], int]) -> None:
        self._settings, self._folder, self._serve = settings, folder, serve
        self._places = [_Place(number) for number in range(1, count + 1)]
        self._stop_by: float | None = None
        """When who still runs is killed; None while nobody is to stop."""
        # Of the workers' input, which ends with this process, however that ends, and then they stop.
        self._input, self._held = os.pipe()

    def run(self) -> int:
        if (code := self._begin()) is not None:
            return code
        logger.info("%d workers share %s", len(self._places), self._settings.listen)
        while self._stop_by is None or any(place.pid for place in self._places):
            self._fill()
            self._wait()
            for place in self._places:
                if (code := self._reap(place)) is not None and self._stop_by is None:
                    self._replace(place, code)
        return 0

    def _begin(self) -> int | None:
        """Start the first, which makes what the others find; its exit code, where it ends before it listens."""
        first = self._places[0]
        self._fork(first)
        listens = socket_of(self._folder, first.number)
        while not listens.exists():
            self._wait(_LOOK)
            if (code := self._reap(first)) is not None:
                return 0 if self._stop_by is not None else code
        return None

    def _fill(self) -> None:
        """Start who is due."""
        for place in self._places:
            if self._stop_by is None and not place.pid and place.due <= monotonic():
                self._fork(place)

    def _wait(self, most: float | None = None) -> None:
        """Until a signal came, and was obeyed, or something is due."""
        due = [place.due for place in self._places if not place.pid] if self._stop_by is None else [self._stop_by]
        seconds = min([most or _LONGEST_PAUSE, *[time - monotonic() for time in due if most is None]])
        got = signal.sigtimedwait(_SIGNALS, max(0.0, seconds))
        number = got.si_signo if got else 0
        if number == signal.SIGHUP:
            self._tell(signal.SIGHUP)
        elif number in (signal.SIGTERM, signal.SIGINT) and self._stop_by is None:
            self._stop_by = monotonic() + _STOP_TIME
            self._tell(signal.SIGTERM)
        if self._stop_by is not None and self._stop_by <= monotonic():
            self._stop_by = monotonic() + _STOP_TIME
            self._tell(signal.SIGKILL)

    def _reap(self, place: _Place) -> int | None:
        """The exit code of one that has ended; below zero it is the signal that ended it."""
        if not place.pid or not (ended := os.waitpid(place.pid, os.WNOHANG))[0]:
            return None
        place.pid = 0
        return os.waitstatus_to_exitcode(ended[1])

    def _replace(self, place: _Place, code: int) -> None:
        lived = monotonic() - place.begun
        place.pause = _FIRST_PAUSE if lived > _LONGEST_PAUSE else min(_LONGEST_PAUSE, 2 * place.pause)
        place.due = monotonic() + place.pause
        why = f"signal {-code}" if code < 0 else f"exit code {code}"
        logger.warning("worker %d ended (%s); another takes its place in %.0f s", place.number, why, place.pause)

    def _fork(self, place: _Place) -> None:
        # A lock that another thread holds would be held for ever in the worker.
        assert threading.active_count() == 1 and len([*Path("/proc/self/task").iterdir()]) == 1
        gc.freeze()  # the collector writes to whatever it looks at
        sys.stderr.flush()
        place.begun = monotonic()
        place.pid = os.fork()
        if not place.pid:
            self._be(place.number)

    def _be(self, number: int) -> None:
        """A worker's life. It leaves nothing that it inherited: neither what it has on the stack nor at the exit."""
        code = 1
        try:
            os.dup2(self._input, 0)
            os.close(self._held)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it knows what to do then
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            gc.enable()
            code = self._serve(replace(self._settings, worker=Worker(number, self._folder)))
        except BaseException:
            traceback.print_exc()
        finally:
            logging.shutdown()
            with contextlib.suppress(OSError):
                sys.stderr.flush()
            os._exit(code)

    def _tell(self, number: signal.Signals) -> None:
        for place in self._places:
            if place.pid:
                os.kill(place.pid, number)
