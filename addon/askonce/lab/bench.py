"""`askonce bench`: what a hit costs beside stock mitmdump, and what a miss adds to the direct call.

One rule: both sides are measured in the same run, in turns, by the same client, and what counts is the ratio or the
difference, never a number of its own: machines are noisy.
"""

import http.client
import itertools
import os
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import orjson
from rich.console import Console
from rich.progress import track
from rich.table import Table

from askonce.exec.proxy_process import borrowed
from askonce.sample import Pace, SampleProvider
from askonce.settings import Settings

__all__ = ["Side", "ask", "hit", "load", "miss", "question_body", "rules_of"]

HOST = "api.openai.com"
_ROUNDS, _CALLS, _CLIENTS = 7, 600, 4
_SETTLED = 3.0
"""Seconds after which a proxy has done what it does once, which is not what is measured."""
_CANNED = """\
from mitmproxy import http
def request(flow): flow.response = http.Response.make(200, {body!r}, {{"content-type": "application/json"}})
"""
_STREAMING = """\
from mitmproxy import http
def requestheaders(flow): flow.request.scheme, flow.request.host, flow.request.port = "http", {host!r}, {port}
def responseheaders(flow): flow.response.stream = True
"""
_FILLER = "Answer in one short sentence. " * 60
"""A system prompt that makes a call about 2 kB long, like an app's."""


@dataclass(frozen=True, slots=True)
class Side:
    """A proxy under test."""

    name: str
    port: int
    ca: Path
    pid: int

    def cpu_seconds(self) -> float:
        """User and system time of the process so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def hit(console: Console, *, rounds: int = _ROUNDS, calls: int = _CALLS) -> dict[str, float]:
    """Hits a second over CONNECT and TLS with keep-alive, Askonce's beside a canned response of stock mitmdump."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="askonce-bench-")))
        provider = stack.enter_context(SampleProvider(pace=Pace(0, 0)))
        ours = stack.enter_context(_askonce(folder, provider.url))
        question = "What is the capital of France?"
        answer = ask(ours, [question_body(question)])[0]
        stock = stack.enter_context(_mitmdump(folder, _CANNED.format(body=answer)))
        exact: Callable[[int], bytes] = lambda _: question_body(question)  # noqa: E731
        wordings = _wordings()
        ask(ours, [question_body(question)] * 50)
        ask(stock, [question_body(question)] * 50)
        results: dict[str, list[tuple[float, float]]] = {"stock": [], "exact": [], "semantic": []}
        for _ in track(range(rounds), "asking", console=console, transient=True):
            results["stock"].append(load(stock, exact, calls))
            results["exact"].append(load(ours, exact, calls))
            results["semantic"].append(load(ours, lambda _: question_body(next(wordings)), calls))
        decisions = _decisions(ours)
    table = Table(title=f"Hits over CONNECT+TLS, keep-alive, {_CLIENTS} clients, {rounds} x {calls} calls in turns")
    for heading in ("", "calls/s", "CPU µs/call", "ratio to stock", "ratio of CPU"):
        table.add_column(heading, justify="right" if heading else "left")
    measured: dict[str, float] = {}
    for name, label in (("stock", "stock mitmdump, canned"), ("exact", "exact hit"), ("semantic", "semantic hit")):
        rate = statistics.median(rate for rate, _ in results[name])
        cpu = statistics.median(cpu for _, cpu in results[name])
        pairs = list(zip(results[name], results["stock"], strict=True))
        ratio = statistics.median(mine[0] / theirs[0] for mine, theirs in pairs)
        cpu_ratio = statistics.median(theirs[1] / mine[1] for mine, theirs in pairs)
        measured |= {f"{name}_per_second": rate, f"{name}_ratio": ratio, f"{name}_cpu_ratio": cpu_ratio}
        table.add_row(label, f"{rate:.0f}", f"{cpu * 1e6:.0f}", f"{ratio:.2f}", f"{cpu_ratio:.2f}")
    console.print(table)
    console.print("decisions: " + ", ".join(f"{count} {name}" for name, count in decisions.items() if count))
    return measured | {f"decided_{name}": count for name, count in decisions.items()}


def miss(console: Console, *, calls: int = 300) -> dict[str, float]:
    """Seconds to the first byte that Askonce adds to a streamed miss, beside the direct call, call by call; and what
    stock mitmdump adds that only passes the call on."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="askonce-bench-")))
        provider = stack.enter_context(_provider(Pace(0.002, 0.001)))
        ours = stack.enter_context(_askonce(folder, provider))
        place = urlsplit(provider)
        stock = stack.enter_context(_mitmdump(folder, _STREAMING.format(host=place.hostname, port=place.port)))
        added = {
            name: _beside_direct(place.netloc, side, calls, console)
            for name, side in (("ours", ours), ("stock", stock))
        }
    table = Table(title=f"Time to the first byte of a streamed miss, {calls} calls in turns with the direct one")
    for heading in ("", "p50 ms", "p99 ms"):
        table.add_column(heading, justify="right" if heading else "left")
    sides = {
        "direct": [direct for direct, _ in added["ours"]],
        "through Askonce": [proxied for _, proxied in added["ours"]],
        "added": [proxied - direct for direct, proxied in added["ours"]],
        "added by stock mitmdump": [proxied - direct for direct, proxied in added["stock"]],
    }
    measured: dict[str, float] = {}
    for name, seconds in sides.items():
        cuts = statistics.quantiles(seconds, n=100)
        measured |= {f"{name}_p50_ms": cuts[49] * 1e3, f"{name}_p99_ms": cuts[98] * 1e3}
        table.add_row(name, f"{cuts[49] * 1e3:.2f}", f"{cuts[98] * 1e3:.2f}")
    console.print(table)
    return measured


def _beside_direct(provider: str, side: Side, calls: int, console: Console) -> list[tuple[float, float]]:
    """Seconds to the first byte of `calls` streamed misses, each of them directly and through a proxy.

    One proxy at a time: a second one in the same turns would take the processor's caches from the first."""
    direct, proxied = http.client.HTTPConnection(provider), _connect(side)
    rows = [
        (_first_byte(direct, body), _first_byte(proxied, body))
        for number in track(range(calls + 20), "asking", console=console, transient=True)
        for body in [question_body(f"Is {number} a prime number?", stream=True)]
    ][20:]
    for connection in (direct, proxied):
        connection.close()
    return rows


def question_body(question: str, *, stream: bool = False) -> bytes:
    """A call's, about 2 kB long."""
    messages = [{"role": "system", "content": _FILLER}, {"role": "user", "content": question}]
    return orjson.dumps({"model": "gpt-4o-mini", "messages": messages, "stream": stream})


def _wordings() -> Iterator[str]:
    """Endless wordings of one question, each new, so that no answer is an exact hit."""
    opening = ("", "Please tell me: ", "Tell me, ", "Hello! ", "Quick question: ", "I wonder, ", "Hi there, ", "Hey, ")
    core = ("What is the capital of France?", "what is the capital city of France?", "What's the capital of France?")
    closing = ("", " Thanks!", " Thank you.", " Please.", " Thanks a lot!", " Cheers!")
    for marks in itertools.count():
        for parts in itertools.product(opening, core, closing):
            yield "".join(parts) + " " * marks


def load(side: Side, body: Callable[[int], bytes], calls: int) -> tuple[float, float]:
    """Calls a second, and CPU seconds a call of the proxy, with `_CLIENTS` keep-alive connections."""
    bodies = [[body(number) for number in range(calls // _CLIENTS)] for _ in range(_CLIENTS)]
    connections = [_connect(side) for _ in range(_CLIENTS)]
    for connection in connections:
        connection.connect()
    threads = [
        threading.Thread(target=_send_all, args=(connection, share))
        for connection, share in zip(connections, bodies, strict=True)
    ]
    cpu, start = side.cpu_seconds(), time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took, cpu = time.perf_counter() - start, side.cpu_seconds() - cpu
    for connection in connections:
        connection.close()
    done = sum(len(share) for share in bodies)
    return done / took, cpu / done


def ask(side: Side, bodies: list[bytes]) -> list[bytes]:
    """The answers, by one connection."""
    connection = _connect(side)
    try:
        return _send_all(connection, bodies)
    finally:
        connection.close()


def _send_all(connection: http.client.HTTPConnection, bodies: list[bytes]) -> list[bytes]:
    answers = []
    for body in bodies:
        _send(connection, body)
        with connection.getresponse() as response:
            answers.append(response.read())
            if response.status != 200:
                raise RuntimeError(f"status {response.status}: {answers[-1][:200]!r}")
    return answers


def _first_byte(connection: http.client.HTTPConnection, body: bytes) -> float:
    start = time.perf_counter()
    _send(connection, body)
    with connection.getresponse() as response:
        response.read(1)
        took = time.perf_counter() - start
        response.read()
    return took


def _send(connection: http.client.HTTPConnection, body: bytes) -> None:
    headers = {"content-type": "application/json", "authorization": "Bearer sk-bench"}
    connection.request("POST", "/v1/chat/completions", body, headers)


def _connect(side: Side) -> http.client.HTTPSConnection:
    context = ssl.create_default_context(cafile=str(side.ca))
    connection = http.client.HTTPSConnection("127.0.0.1", side.port, context=context, timeout=30)
    connection.set_tunnel(HOST, 443)
    return connection


def _decisions(side: Side) -> dict[str, int]:
    connection = http.client.HTTPConnection("127.0.0.1", side.port, timeout=10)
    connection.request("GET", "/v1/stats")
    with connection.getresponse() as response:
        outcomes: dict[str, int] = orjson.loads(response.read())["outcomes"]
    connection.close()
    return outcomes


@contextmanager
def _provider(pace: Pace) -> Iterator[str]:
    """The address of a sample provider in a process of its own: in ours the client would wait for its interpreter."""
    command = [sys.executable, "-m", "askonce.sample", "--first-token", str(pace.first_token)]
    command += ["--per-token", str(pace.per_token)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def rules_of(upstream: str) -> str:
    """The rules of a proxy under test."""
    return (
        "version: 1\nupstreams:\n"
        f"  - {{name: bench, hosts: [{HOST}], paths: [/v1/chat/completions],\n"
        f"     wire: openai-chat, upstream: '{upstream}'}}\n"
    )


@contextmanager
def _askonce(folder: Path, upstream: str) -> Iterator[Side]:
    rules = folder / "rules.yaml"
    rules.write_text(rules_of(upstream))
    settings = Settings.from_env(
        listen="127.0.0.1:0", rules=rules, data=folder / "data", certs=folder / "certs", environ={}
    )
    with borrowed(settings) as proxy:
        time.sleep(_SETTLED)
        (started,) = (folder / "data" / "exec").glob("*.started")
        yield Side("askonce", proxy.listen_port, folder / "certs" / "mitmproxy-ca-cert.pem", int(started.read_text()))


@contextmanager
def _mitmdump(folder: Path, addon: str) -> Iterator[Side]:
    """Stock mitmdump with an addon of a few lines; `-q` spares it the cost of printing flows."""
    script, confdir, port = folder / "stock.py", folder / "stock", _free_port()
    script.write_text(addon)
    command = [sys.executable, "-c", "from mitmproxy.tools.main import mitmdump; mitmdump()", "-q"]
    command += ["-s", str(script), "-p", str(port), "--listen-host", "127.0.0.1", "--set", f"confdir={confdir}"]
    command += ["--set", "connection_strategy=lazy"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        _await_listener(port, process)
        yield Side("mitmdump", port, confdir / "mitmproxy-ca-cert.pem", process.pid)
    finally:
        process.terminate()
        process.wait(10)


def _await_listener(port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"mitmdump ended with exit code {process.returncode}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
