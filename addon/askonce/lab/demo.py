"""`askonce demo`: an app that was never changed, a sample provider, and Askonce between them.

Everything runs on loopback in a folder that is gone afterwards; the app is `askonce.sample.app`, which knows only
OpenAI's SDK.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import yaml
from rich.console import Console
from rich.table import Table

from askonce.exec.child import environment
from askonce.exec.proxy_process import borrowed
from askonce.products.document import Config
from askonce.rules import Rules
from askonce.sample import SampleProvider
from askonce.settings import Settings, is_checkout
from askonce.trust import ensure_ca

__all__ = ["run"]

QUESTION = "What is the capital of France?"
STEPS = (
    ("first ask", QUESTION),
    ("the same again", QUESTION),
    ("reworded", "Tell me the capital city of France."),
    ("a look-alike", "What is the capital of Germany?"),
    ("streamed", f"stream: {QUESTION}"),
    ("restarted", QUESTION),
)
EXPECTED = ("miss", "exact", "semantic", "miss", "exact", "exact")
_COLOURS = {"miss": "yellow", "exact": "green", "semantic": "cyan"}


@dataclass(frozen=True, slots=True)
class DemoCall:
    """One call as the app and Askonce saw it."""

    answer: str
    seconds: float
    outcome: str
    seconds_saved: float
    usd_saved: float | None


def run(console: Console) -> int:
    """Play the demo; 0 where every call went as it should."""
    console.print(
        "An app asks OpenAI through OpenAI's SDK. It was never changed: only its environment names a proxy.\n"
    )
    seen: list[DemoCall] = []
    with tempfile.TemporaryDirectory(prefix="askonce-demo-") as name, SampleProvider() as provider:
        folder = Path(name)
        start = partial(
            Settings.from_env,
            rules=_rules(folder, provider.url),
            data=folder / "data",
            certs=folder / "certs",
            environ={},
        )
        with console.status("starting Askonce") as status, ExitStack() as stack:
            with borrowed(start(listen="127.0.0.1:0")) as proxy:
                status.update("asking")
                app = stack.enter_context(_app(proxy))
                seen += [_ask(app, proxy, question) for _, question in STEPS[:-1]]
            status.update("restarting Askonce")
            with borrowed(start(listen=f"127.0.0.1:{proxy.listen_port}")) as proxy:
                seen += [_ask(app, proxy, question) for _, question in STEPS[-1:]]
        calls = provider.control.stats()["calls"]
    console.print(_table(seen))
    console.print(
        "\n[yellow]miss[/]: the provider was asked. Answered by Askonce itself:\n"
        "[green]exact[/], the same call as before; [cyan]semantic[/], another wording of it.\n"
    )
    saved, dollars = sum(call.seconds_saved for call in seen), sum(call.usd_saved or 0.0 for call in seen)
    console.print(
        f"{len(seen)} questions, the provider was asked {calls} times. "
        f"Saved: [bold]{saved:.1f} s[/] and [bold]${dollars:.6f}[/] at gpt-4o-mini's list price."
    )
    if tuple(call.outcome for call in seen) != EXPECTED:
        console.print(f"[red]expected {', '.join(EXPECTED)}[/]")
        return 1
    console.print(f"Your own app: [bold]{'./run.sh' if is_checkout() else 'askonce'} exec -- python your_app.py[/]")
    return 0


def _table(seen: list[DemoCall]) -> Table:
    """In the 80 columns of a terminal: of an answer its last word."""
    table = Table("", "question", "decision", "time", "answer", box=None, pad_edge=False)
    for (label, question), call in zip(STEPS, seen, strict=True):
        table.add_row(
            f"[dim]{label}[/]",
            question.removeprefix("stream: "),
            f"[{_COLOURS.get(call.outcome, 'red')}]{call.outcome}[/]",
            f"{call.seconds * 1000:.0f} ms",
            f"… {call.answer.rpartition(' ')[2]}",
        )
    return table


def _rules(folder: Path, upstream: str) -> Path:
    """The rules that ship, with OpenAI's misses sent to the sample provider."""
    rules = yaml.safe_load(Settings.from_env(environ={}).rules.read_text("utf-8"))
    rules["upstreams"] = [rule | {"upstream": upstream} for rule in rules["upstreams"] if rule["name"] == "openai-chat"]
    rules["manage"].pop("token", None)
    path = folder / "rules.yaml"
    path.write_text(yaml.safe_dump(rules), "utf-8")
    return path


@contextmanager
def _app(proxy: Settings) -> Iterator[subprocess.Popen[str]]:
    files = ensure_ca(proxy.certs, Rules(Config.load(proxy.rules)).host_names())
    variables = environment(proxy.url, files.bundle, files.ca_cert, os.environ)
    with subprocess.Popen(
        [sys.executable, "-m", "askonce.sample.app"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables, "OPENAI_API_KEY": "sk-demo"},
    ) as app:
        yield app
        assert app.stdin
        app.stdin.close()


def _ask(app: subprocess.Popen[str], proxy: Settings, question: str) -> DemoCall:
    assert app.stdin and app.stdout
    print(question, file=app.stdin, flush=True)
    said = json.loads(app.stdout.readline())
    decision = _latest(proxy)
    return DemoCall(
        said["answer"],
        said["seconds"],
        decision["outcome"],
        decision["seconds_saved"],
        decision["usd_saved"],
    )


def _latest(proxy: Settings) -> dict[str, Any]:
    """What was decided of the last call. An app may have its answer a moment before its call is counted."""
    while True:
        stats = httpx.get(f"{proxy.url}/v1/stats", trust_env=False, timeout=60).raise_for_status().json()
        if not stats["in_flight"]:
            latest: dict[str, Any] = stats["latest"][0]
            return latest
        time.sleep(0.01)
