"""`askonce serve --workers N`: N processes that listen at one address, and the one that looks after them.

One rule: a worker that crashes is replaced, and the others go on; where the first cannot start, nobody does, and what
it said and its exit code are all there is.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from time import monotonic

from askonce.accounting.workmates import socket_of
from askonce.exec.proxy_process import ProxyError, check_address, free_port, hold_address, serve_options
from askonce.settings import Settings

__all__ = ["cores", "run_workers"]

logger = logging.getLogger("askonce")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
"""Seconds before a worker that crashed is replaced: twice as many each time, until one has lived for the longest."""
_STOP_TIME = 50.0
"""Seconds before a worker is killed: calls under way have 30 to end, then all is written down; and whoever stops us may
wait for 60."""
_LOOK = 0.05


def cores() -> int:
    """The processor's that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def run_workers(settings: Settings, count: int) -> int:
    """Run so many until SIGTERM or SIGINT; the exit code. Raises `ProxyError` where nothing can listen there."""
    if sys.platform != "linux":
        raise ProxyError("--workers: only Linux shares a port's connections out; run one, or give each a port")
    if settings.listen_port == 0:
        settings = replace(settings, listen_port=free_port(settings.client_host))
    check_address(settings)  # another proxy that shares its port would take half of the calls
    with hold_address(settings), tempfile.TemporaryDirectory(prefix="askonce-") as folder:
        return asyncio.run(_Supervisor(settings, count, Path(folder)).run())


class _Supervisor:
    def __init__(self, settings: Settings, count: int, folder: Path) -> None:
        self._settings, self._folder, self._count = settings, folder, count
        self._running: dict[int, asyncio.subprocess.Process] = {}
        self._stopping = asyncio.Event()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._tell, signal.SIGHUP)
        if (code := await self._begin()) is not None:
            return code
        logger.info("%d workers share %s", self._count, self._settings.listen)
        await asyncio.gather(*[self._keep(number) for number in range(1, self._count + 1)])
        return 0

    async def _begin(self) -> int | None:
        """Start the first, which makes what the others find; its exit code, where it ends before it listens."""
        process, listens = await self._start(1), socket_of(self._folder, 1)
        while process.returncode is None:
            if listens.exists():
                return None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _LOOK)
        return process.returncode

    async def _keep(self, number: int) -> None:
        pause = _FIRST_PAUSE
        while not self._stopping.is_set():
            process, begun = self._running.get(number) or await self._start(number), monotonic()
            code = await process.wait()
            del self._running[number]
            if self._stopping.is_set():
                return
            pause = _FIRST_PAUSE if monotonic() - begun > _LONGEST_PAUSE else min(_LONGEST_PAUSE, 2 * pause)
            why = f"signal {-code}" if code < 0 else f"exit code {code}"
            logger.warning("worker %d ended (%s); another takes its place in %.0f s", number, why, pause)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)

    async def _start(self, number: int) -> asyncio.subprocess.Process:
        command = [sys.executable, "-m", "askonce", "serve", "--worker", f"{number}:{self._folder}"]
        # Its input ends with this process, however that ends, and the worker stops.
        process = await asyncio.create_subprocess_exec(
            *command, *serve_options(self._settings), stdin=asyncio.subprocess.PIPE
        )
        self._running[number] = process
        if self._stopping.is_set():
            process.terminate()
        return process

    def _stop(self) -> None:
        if not self._stopping.is_set():
            self._stopping.set()
            self._tell(signal.SIGTERM)
            asyncio.get_running_loop().call_later(_STOP_TIME, self._tell, signal.SIGKILL)

    def _tell(self, number: signal.Signals) -> None:
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
