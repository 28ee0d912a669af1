"""The command line in this process, over a real cache: of a data folder, or of a server that answers like the proxy."""

import asyncio
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from hypercorn.asyncio import serve
from hypercorn.config import Config
from tests.support.records import record
from tests.support.waiting import PATIENCE

from askonce.accounting import Accounting
from askonce.api.app import create_app
from askonce.cache import Cache, CacheLimits
from askonce.cache.judge import load_judge
from askonce.call import Answer, Call, Turn, Usage
from askonce.cli import main

RECORD = record(
    outcome="exact",
    seconds=0.002,
    usage=Usage(9, 3),
    seconds_saved=0.8,
    money_saved=0.0125,
    forwarded=False,
)


@dataclass
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings of the user's, no colours, a wide terminal; an address where nothing listens."""
    for name in ("ASKONCE_LISTEN", "ASKONCE_RULES", "ASKONCE_DATA", "ASKONCE_CERTS", "ASKONCE_TOKEN", "ASKONCE_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("ASKONCE_LISTEN", "127.0.0.1:1")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def askonce(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """askonce("cache", "list") -> Done"""

    def run(*args: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["askonce", *map(str, args)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
        out, err = capfd.readouterr()
        return Done(code, out, err)

    return run


def remember(cache: Cache, prompt: str, model: str = "gpt-4o") -> str:
    """Store an answer to `prompt`; its key."""
    call = Call("openai-chat", prompt, {"model": model}, model=model, turns=(Turn("user", prompt),))
    stored = cache.remember(
        call,
        cache.identify(call, host="api.openai.com", scope="key"),
        Answer(b'{"choices":[{"message":{"content":"Paris"}}]}', "application/json", Usage(9, 3)),
        upstream="openai-chat",
        host="api.openai.com",
        ttl=3600,
        upstream_seconds=0.8,
    )
    return asyncio.run(stored).key


@pytest.fixture
def data(tmp_path: Path) -> dict[str, str]:
    """prompt -> key of what the folder ./data holds."""
    cache = Cache.open(tmp_path / "data", judge=load_judge())
    keys = {prompt: remember(cache, prompt) for prompt in ("What is the capital of France?", "Name a prime.")}
    keys["[bold]red\x1b[31m\nline"] = remember(cache, "[bold]red\x1b[31m\nline", "o3")
    asyncio.run(cache.close())
    return keys


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """running(token=None) -> the HOST:PORT of a management API like a proxy's, with one call counted and one answer."""
    with ExitStack() as stack:
        yield lambda token=None: stack.enter_context(_served(tmp_path / "served", token))


@contextmanager
def _served(folder: Path, token: str | None) -> Iterator[str]:
    cache = Cache.open(folder, judge=load_judge())
    remember(cache, "What is the capital of France?")
    accounting = Accounting()
    accounting.record(RECORD)
    app = create_app(
        cache,
        accounting,
        token=token,
        version="0",
        ready=lambda: None,
        reload=None,
        limits=CacheLimits(),
        ttl=None,
        rules=list,
    )
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.errorlog = None

    async def run(stop: asyncio.Event) -> None:
        await serve(app, config, shutdown_trigger=stop.wait)  # type: ignore[arg-type]
        await cache.close()

    with start_blocking_portal() as portal:
        stop = portal.call(asyncio.Event)
        served = portal.start_task_soon(run, stop)
        yield f"127.0.0.1:{port}"
        portal.call(stop.set)
        served.result(PATIENCE)
