"""One proxy for a run of tests, which plays their cassettes one after the other.

One rule: a proxy is started once; another cassette is put in by clearing the cache and taking its answers in, and what
was recorded is taken out before that. So a cassette costs milliseconds, not a start.
"""

import os
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path

from askonce.cache import Record, read_record, write_record
from askonce.cache.cassette import Cassette, CassetteError
from askonce.cli.client import AskProxy, running_proxy, wait_until_idle
from askonce.cli.programs import variables_for
from askonce.cli.transfer import batches, pages
from askonce.exec.child import placeholder_keys
from askonce.exec.proxy_process import borrowed
from askonce.settings import Settings

__all__ = ["Player", "unused"]

_PATIENCE = 60.0
"""Seconds that a call which a test left behind may take to end before its answer is given up."""
_PAGE = 1000
_SHOWN = 80
"""Characters of a prompt."""


class Player:
    """The proxy of this process, started at the first cassette. Its methods raise what a start raises: `ProxyError`,
    `CassetteError`, `ConfigError`, `TrustError` or OSError."""

    def __init__(self, mode: str, rules: Path | None) -> None:
        """`rules` where the environment names none."""
        self._mode, self._rules = mode, None if os.environ.get("ASKONCE_RULES") else rules
        self._stack = ExitStack()
        self._ask: AskProxy | None = None
        self._blank: Cassette
        self._path: Path | None = None
        self._cassette: Cassette | None = None
        self._since = 0.0
        self.variables: dict[str, str] = {}
        """What a test needs in its environment."""
        self.used: dict[str, list[str]] = {}
        """Cassette -> the keys of the answers that were asked for."""

    def play(self, path: Path) -> None:
        """Answer from the cassette at `path` from now on, and record there."""
        if path == self._path:
            return
        ask = self._ask or self._start()
        self._eject(ask)
        strict = self._mode == "strict"
        if not strict:
            path.parent.mkdir(parents=True, exist_ok=True)
        cassette = Cassette(path, must_exist=strict) if not strict or path.is_file() else None
        if cassette and cassette.fingerprint != self._blank.fingerprint:
            raise CassetteError(
                f"{path}:1: has an id of its own, so its keys are not those of this run; record it anew"
            )
        self._since = time.time()
        ask("DELETE", "/v1/cache", {})
        if cassette and cassette.records:
            first = b'{"askonce":"cache","version":1,"identity":"%s"}' % cassette.fingerprint.encode()
            for batch in batches([first, *(write_record(record, lasting=True) for record in cassette.records)]):
                ask("POST", "/v1/cache/import", {}, batch)
        self._path, self._cassette = path, cassette

    def close(self) -> None:
        """Record what is left, and stop the proxy."""
        with self._stack:
            if self._ask:
                self._eject(self._ask)

    def _start(self) -> AskProxy:
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="askonce-"))
        blank = Path(folder) / "cassette.jsonl"
        Cassette.write_blank(blank)
        self._blank = Cassette(blank, must_exist=True)
        asked = Settings.from_env(rules=self._rules, mode=self._mode, cassette=blank, listen="127.0.0.1:0")
        proxy = self._stack.enter_context(borrowed(asked))
        self.variables = variables_for(proxy)
        if self._mode == "strict":
            self.variables |= placeholder_keys(os.environ)
        self._ask = running_proxy(proxy)
        return self._ask

    def _eject(self, ask: AskProxy) -> None:
        """Take what was recorded out of the proxy, and note what was asked for."""
        path, cassette = self._path, self._cassette
        self._path = self._cassette = None
        if path is None or cassette is None:
            return
        wait_until_idle(ask, _PATIENCE)
        used = self.used.setdefault(str(path), [])
        used += [key for key, hits, created in _listed(ask) if hits or created >= self._since]
        if self._mode != "strict":
            cassette.save(_recorded(ask))
            with suppress(OSError):  # where nothing was recorded, no folder is left
                path.parent.rmdir()


def unused(used: Mapping[str, Collection[str]], folder: Path) -> list[str]:
    """A line for each recorded answer that was not asked for: of these cassettes, and of those beside them."""
    tops = {next(parent for parent in Path(path).parents if parent.name == "cassettes") for path in used}
    lines = []
    for file in sorted(file for top in tops for file in top.rglob("*.jsonl")):
        name = file.relative_to(folder) if file.is_relative_to(folder) else file
        for number, record in enumerate(Cassette(file, must_exist=True).records, 2):
            if record.entry.key not in used.get(str(file), ()):
                asked = record.entry.prompt[:_SHOWN]
                lines.append(f"{name}:{number}: no test asked for {record.entry.model}: {asked!r}")
    return lines


def _listed(ask: AskProxy) -> Iterator[tuple[str, int, float]]:
    """Key, hits and the time of recording of every answer."""
    offset, entries = 0, None
    while entries is None or len(entries) == _PAGE:
        entries = ask("GET", "/v1/cache", {"offset": offset, "limit": _PAGE})["entries"]
        offset += _PAGE
        for entry in entries:
            yield entry["key"], entry["hits"], datetime.fromisoformat(entry["created"]).timestamp()


def _recorded(ask: AskProxy) -> list[Record]:
    lines = b"".join(pages(ask)).splitlines()[1:]
    return [read_record(line) for line in lines if line.strip()]
