"""The process that plays cassettes: a proxy, and beside it who takes one cassette out and puts the next one in.

It is told what to do by lines of JSON on its input, and answers each with one on its output. One rule: it ends when its
input does, so that it never outlives the tests that started it.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from askonce import trust
from askonce.cache import Entry, StoreError
from askonce.cache.cassette import Cassette, CassetteError
from askonce.exec.child import placeholder_keys
from askonce.exec.proxy_process import ProxyError
from askonce.exec.variables import variables
from askonce.proxy.master import serve
from askonce.runtime import Runtime
from askonce.settings import Settings

__all__ = ["main"]

_PATIENCE = 60.0
"""Seconds that a call which a test left behind may take to end before its answer is given up."""
_PAUSE = 0.005
_PAGE = 1000


class Deck:
    """Plays in the proxy's own event loop."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime, self._cache = runtime, runtime.cache
        self._is_strict = runtime.settings.mode == "strict"
        self._path: Path | None = None
        self._cassette: Cassette | None = None
        self._since = 0.0

    async def run(self) -> None:
        """Do what is asked, until nothing more comes."""
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            _say(await self._do(json.loads(line)))

    async def _do(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """`play` is the path of a cassette, or null where none is to be played any more. With `environ`, the variables
        of a test are told, too."""
        path = asked["play"] and Path(asked["play"])
        told: dict[str, Any] = {}
        try:
            if environ := asked.get("environ"):
                told["variables"] = await self._runtime.compute(lambda: self._variables(environ))
            told["used"] = await self._play(path)
        except (CassetteError, StoreError, ProxyError, trust.TrustError, OSError) as error:
            told["error"] = str(error)
        return told

    async def _play(self, path: Path | None) -> dict[str, list[str]]:
        """Answer from the cassette at `path`, as nothing was asked before, and record there; what was asked for in the
        one before."""
        self._runtime.life.rewind()
        if path == self._path:
            return {}
        used = await self._eject()
        if path:
            await self._insert(path)
        return used

    async def _insert(self, path: Path) -> None:
        if not self._is_strict:
            path.parent.mkdir(parents=True, exist_ok=True)
        is_there = await self._runtime.compute(path.is_file)
        cassette = Cassette(path, must_exist=self._is_strict) if is_there or not self._is_strict else None
        if cassette and cassette.fingerprint != self._cache.fingerprint:
            raise CassetteError(
                f"{path}:1: has an id of its own, so its keys are not those of this run; record it anew"
            )
        self._since = time.time()
        await self._cache.clear()
        if cassette:
            await self._cache.restore(cassette.records)
        self._path, self._cassette = path, cassette

    async def _eject(self) -> dict[str, list[str]]:
        """Take what was recorded out of the proxy; what was asked for."""
        path, cassette = self._path, self._cassette
        self._path = self._cassette = None
        if path is None or cassette is None:
            return {}
        deadline = time.monotonic() + _PATIENCE
        while self._runtime.accounting.in_flight and time.monotonic() < deadline:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(_PAUSE)
        entries = await self._entries()
        if not self._is_strict:
            cassette.save([self._runtime.recorded(entry) for entry in entries])
            with suppress(OSError):  # where nothing was recorded, no folder is left
                path.parent.rmdir()
        return {str(path): [entry.key for entry in entries if entry.hits or entry.created >= self._since]}

    async def _entries(self) -> list[Entry]:
        found = list[Entry]()
        while page := await self._cache.list(offset=len(found), limit=_PAGE):
            found += page
        return found

    def _variables(self, environ: Mapping[str, str]) -> dict[str, str]:
        settings = self._runtime.settings
        hosts = self._runtime.rules.every_host()
        found = variables(settings, trust.load_ca(settings.certs, environ), hosts, environ)
        return found | (placeholder_keys(environ) if self._is_strict else {})


def _say(told: Mapping[str, Any]) -> None:
    print(json.dumps(told), flush=True)  # noqa: T201  # it is what the other end reads


def main() -> int:
    """Play with the settings of the first line, until there is no further one. Returns the process's exit code."""
    asked = json.loads(sys.stdin.readline())
    with tempfile.TemporaryDirectory(prefix="askonce-") as folder:
        blank = Path(folder) / "cassette.jsonl"
        Cassette.write_blank(blank)
        settings = Settings.from_env(
            rules=asked["rules"] and Path(asked["rules"]),
            mode=asked["mode"],
            cassette=blank,
            record_errors=asked["errors"],
            listen="127.0.0.1:0",
        )
        return serve(settings, beside=lambda runtime: Deck(runtime).run())
