"""`askonce bench workers`: exact hits of one process, and of two that share a port, from the same clients in turns.

One rule: what counts is the ratio of the two, and it is told whether the clients had cores of their own; where they had
not, they took from the proxies what these could have served with.
"""

import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
from rich.console import Console
from rich.progress import track
from rich.table import Table

from askonce.cache.store import SharedPlace
from askonce.cache.store.opening import upkeep
from askonce.exec.proxy_process import ProxyState, free_port, probe, serve_options
from askonce.exec.worker_processes import cores
from askonce.lab.bench import Side, ask, load, question_body, rules_of
from askonce.sample import Pace, SampleProvider
from askonce.settings import Settings

__all__ = ["ask_when_told", "workers"]

_COUNTS = (1, 2)
_ROUNDS, _CALLS = 7, 1_200
_CLIENTS = 2
"""Processes that ask, of four connections each: one would be as busy as the proxies."""
_QUESTION = "What is the capital of France?"


@dataclass(frozen=True, slots=True)
class _Proxy:
    """Of so many workers, all in `pids`."""

    side: Side
    pids: Sequence[int]

    def cpu_seconds(self) -> float:
        return sum(replace(self.side, pid=pid).cpu_seconds() for pid in self.pids)


def workers(console: Console, place: SharedPlace, *, rounds: int = _ROUNDS, calls: int = _CALLS) -> dict[str, float]:
    """Calls a second, and for each second of the proxies' CPU. The answers are in tables of their own in a database
    that is there, and which are taken away in the end. Raises StoreError."""
    place = replace(place, schema=f"askonce_bench_{secrets.token_hex(4)}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="askonce-bench-")))
        stack.callback(upkeep().drop, place)
        provider = stack.enter_context(SampleProvider(pace=Pace(0, 0)))
        theirs, ours = _pinned()
        stack.callback(_pin, theirs | ours)
        _pin(ours)
        clients = [stack.enter_context(_client()) for _ in range(_CLIENTS)]
        proxies = {}
        for count in _COUNTS:
            own = folder / str(count)
            own.mkdir()
            _pin(theirs)  # as what we start will be
            proxies[count] = stack.enter_context(_started(own, provider.url, place, count))
            _pin(ours)
            _measure(proxies[count], clients, 400)
        rows = {count: list[tuple[float, float]]() for count in _COUNTS}
        for _ in track(range(rounds), "asking", console=console, transient=True):
            for count, proxy in proxies.items():
                rows[count].append(_measure(proxy, clients, calls))
    table = Table(title=f"Exact hits over CONNECT+TLS, keep-alive, {4 * _CLIENTS} clients, {rounds} x {calls} calls")
    for heading in ("workers", "calls/s", "calls per CPU s", "ratio", "ratio of CPU"):
        table.add_column(heading, justify="right")
    measured: dict[str, float] = {}
    for count in _COUNTS:
        rate, spent = (statistics.median(row[part] for row in rows[count]) for part in (0, 1))
        ratio, of_cpu = (
            statistics.median(mine[part] / one[part] for mine, one in zip(rows[count], rows[1], strict=True))
            for part in (0, 1)
        )
        table.add_row(str(count), f"{rate:.0f}", f"{spent:.0f}", f"{ratio:.2f}", f"{of_cpu:.2f}")
        measured |= {f"{count}_per_second": rate, f"{count}_ratio": ratio, f"{count}_cpu_ratio": of_cpu}
    console.print(table)
    apart = "had cores of their own" if theirs.isdisjoint(ours) else "had the proxies' cores, and took from them"
    console.print(f"{cores()} cores; the clients {apart}")
    return measured


def _measure(proxy: _Proxy, clients: Sequence[subprocess.Popen[bytes]], calls: int) -> tuple[float, float]:
    """Calls a second, and for each second of the proxy's CPU."""
    task = orjson.dumps([proxy.side.port, str(proxy.side.ca), calls // len(clients)]) + b"\n"
    cpu, start = proxy.cpu_seconds(), time.perf_counter()
    for client in clients:
        assert client.stdin
        client.stdin.write(task)
        client.stdin.flush()
    for client in clients:
        assert client.stdout
        if not client.stdout.readline():
            raise RuntimeError("a client ended")
    took, spent = time.perf_counter() - start, proxy.cpu_seconds() - cpu
    return calls / took, calls / spent


@contextmanager
def _client() -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", f"from {__name__} import ask_when_told; ask_when_told()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process  # which ends with its input


def ask_when_told() -> None:
    """A client's life: for each line, which has a port, an authority and a number of calls, these calls and a line."""
    for line in sys.stdin.buffer:
        port, ca, calls = orjson.loads(line)
        load(Side("", port, Path(ca), os.getpid()), lambda _: question_body(_QUESTION), calls)
        sys.stdout.write("done\n")
        sys.stdout.flush()


def _pinned() -> tuple[set[int], set[int]]:
    """The cores of the proxies, and those of the clients; the same where there are too few."""
    most = max(_COUNTS)
    there = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []
    return (set(there[:most]), set(there[most:])) if len(there) > most else (set(there), set(there))


def _pin(to: set[int]) -> None:
    if sys.platform == "linux":
        os.sched_setaffinity(0, to)


@contextmanager
def _started(folder: Path, upstream: str, place: SharedPlace, count: int) -> Iterator[_Proxy]:
    rules = folder / "rules.yaml"
    rules.write_text(f"{rules_of(upstream)}cache: {{url: '{place.url}', database_schema: {place.schema}}}\n")
    settings = Settings.from_env(
        listen=f"127.0.0.1:{free_port('127.0.0.1')}",
        rules=rules,
        data=folder / "data",
        certs=folder / "certs",
        environ={},
    )
    command = [sys.executable, "-m", "askonce", "serve", "--workers", str(count), *serve_options(settings)]
    password = {"PGPASSWORD": place.password} if place.password else {}
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, env=os.environ | password) as process:
        try:
            side = Side(str(count), settings.listen_port, folder / "certs" / "mitmproxy-ca-cert.pem", process.pid)
            _until(process, lambda: probe(settings) is ProxyState.READY)
            _until(process, lambda: count == 1 or len(_children(process.pid)) == count)
            ask(side, [question_body(_QUESTION)])
            yield _Proxy(side, _children(process.pid) if count > 1 else [process.pid])
        finally:
            process.terminate()


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _until(process: "subprocess.Popen[bytes]", true: Callable[[], bool]) -> None:
    while not true():
        if process.poll() is not None:
            raise RuntimeError(f"the proxy ended with exit code {process.returncode}")
        time.sleep(0.05)
