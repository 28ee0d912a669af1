"""The processes that tests start, and what these start in turn: found, ended, and missed by nobody.

One rule: only descendants of this process are looked at, so that nothing of anybody else's is ever ended. What loses
its parent becomes our own child (Linux), so a proxy that a command left running is found as well.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.waiting import PATIENCE

_PROC = Path("/proc")
_SET_CHILD_SUBREAPER = 36
"""prctl(2)."""


@dataclass(frozen=True)
class Left:
    """A process that runs."""

    pid: int
    command: str
    test: str
    """During which it was started; empty where its environment does not say."""

    def __str__(self) -> str:
        return f"{self.pid} ({self.command[:200]}), started in {self.test or 'an unknown test'}"


def answer_for_all() -> None:
    """Become the parent of descendants whose own has ended, and end as after Ctrl-C where SIGTERM asks for it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def descendants(pid: int | None = None) -> list[Left]:
    """What runs below a process, this one by default; parents first. Nothing where there is no /proc."""
    children = defaultdict[int, list[int]](list)
    for folder in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            if state not in "ZX":
                children[int(parent)].append(int(folder.name))
    found, below = list[Left](), children[os.getpid() if pid is None else pid]
    while below:
        found += [told for child in below if (told := _told(child))]
        below = [grandchild for child in below for grandchild in children[child]]
    return found


def end(process: subprocess.Popen[Any]) -> int:
    """Ask a process to stop, and kill it and what it started where it does not; its exit code."""
    below = descendants(process.pid)
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
    finally:
        if process.returncode:
            kill(below)


def kill(processes: list[Left]) -> None:
    """End what runs of these at once."""
    running = descendants()  # a number may be somebody else's by now
    for process in processes:
        if process in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)


def _told(pid: int) -> Left | None:
    try:
        command = (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
        environment = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return None
    mark = b"PYTEST_CURRENT_TEST="
    test = next((value.removeprefix(mark).decode() for value in environment if value.startswith(mark)), "")
    return Left(pid, command, test)
