"""Asks a proxy for its liveness again and again, in a process of its own: `probe.py PID HOST PORT PATIENCE`, until
stdin is closed.

One rule: one line on stdout for each answer, the seconds that it took, without those for which the kernel let the proxy
or this process wait for a processor. It ends with 1 where nobody answers any more. A process of its own, since a thread
beside the attacks would wait for them: Python compresses and copies without letting go of the interpreter.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from pathlib import Path

_PAUSE = 0.01
_REQUEST = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def probe(pid: int, host: str, port: int, patience: float) -> int:
    connection: socket.socket | None = None
    while not select.select([sys.stdin], [], [], _PAUSE)[0]:
        began, waited = time.monotonic(), _delays(pid)
        try:
            connection = connection or socket.create_connection((host, port), patience)
            connection.sendall(_REQUEST)
            if not _answer(connection):
                raise ConnectionError
        except OSError:
            if connection is None:
                return 1
            connection.close()
            connection = None
            continue
        sys.stdout.write(f"{time.monotonic() - began - _longest(waited, _delays(pid))}\n")
        sys.stdout.flush()
    return 0


def _delays(pid: int) -> dict[str, float]:
    """Seconds for which the kernel let each thread of the process, and this one, wait for a processor so far."""
    tasks = [Path("/proc/thread-self"), *Path(f"/proc/{pid}/task").glob("*")]
    return {task.name: _run_delay(task) for task in tasks}


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


if __name__ == "__main__":
    sys.exit(probe(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
