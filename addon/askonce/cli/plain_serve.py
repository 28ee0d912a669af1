"""`serve`, and its options as programs and units write them: each a word, and its value the next word.

The library that reads command lines, and all other commands with it, are a fifteenth of the CPU that a proxy's start
takes. One rule: what is written in any other way is left to that library, with its help and what it says of mistakes.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from askonce.settings import Settings, SettingsError

__all__ = ["plain_options", "run", "serve"]

_TEXTS = ("--listen", "--mode", "--log-format", "--workers")
_PATHS = ("--rules", "--data", "--certs", "--cassette")
_MOST = 256


def plain_options(arguments: Sequence[str]) -> dict[str, Any] | None:
    """What `serve` is given by a command line; None where this is another one, or not plain."""
    if not arguments or arguments[0] != "serve":
        return None
    given = dict[str, Any]()
    words = iter(arguments[1:])
    for word in words:
        name = word.removeprefix("--").replace("-", "_")
        if word == "--record-errors":
            given[name] = True
            continue
        value = next(words, "")
        if word not in (*_TEXTS, *_PATHS) or not value or value.startswith("-"):
            return None
        given[name] = Path(value) if word in _PATHS else value
    return given


def serve(*, workers: str | None = None, **given: Any) -> int:
    """Run what `askonce serve` is to run, until it is stopped; the exit code. `given` as `Settings.from_env` has it."""
    settings = Settings.from_env(**given)
    if (count := _count(workers or os.environ.get("ASKONCE_WORKERS") or "1")) > 1:
        return _run_workers(settings, count)
    return run(settings)


def run(settings: Settings, *, web: bool = False) -> int:
    """Run one proxy until it is stopped; the exit code."""
    from askonce.exec.proxy_process import check_address

    if settings.listen_port:
        check_address(settings)  # before seconds of loading, which nobody need wait for to be told no
    from askonce.proxy.light_start import load_lightly

    load_lightly(all_of_mitmproxy=web or settings.plain)
    from askonce.proxy.master import serve as run_proxy

    return run_proxy(settings, web=web)


def _count(workers: str) -> int:
    if workers == "1":
        return 1
    from askonce.exec.worker_processes import cores

    if workers == "auto":
        return cores()
    if not workers.isdecimal() or not 0 < int(workers) <= _MOST:
        raise SettingsError(f"--workers: expected a number from 1 to {_MOST}, or auto; got {workers!r}")
    return int(workers)


def _run_workers(settings: Settings, count: int) -> int:
    from askonce.exec.worker_processes import run_workers
    from askonce.proxy.log_format import log_to_stderr

    if settings.cassette:
        raise SettingsError("--workers: a cassette belongs to one process")
    log_to_stderr(settings.log_format)
    return run_workers(settings, count, lambda: _load(settings), _serve_loaded)


def _load(settings: Settings) -> None:
    from askonce.proxy.light_start import load_lightly

    load_lightly(all_of_mitmproxy=True)  # it is shared, so each worker has it for nothing
    from askonce.proxy.ahead import load_ahead

    load_ahead(settings.rules)


def _serve_loaded(settings: Settings) -> int:
    from askonce.proxy.master import serve as run_proxy

    return run_proxy(settings)
