"""The tests' end of the process that plays cassettes (`deck`).

One rule: it imports nothing that takes long, so that the tests pay for no more than the start of that process, which
goes on while they are collected.
"""

import json
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from askonce.exec.last_words import last_words

__all__ = ["PlayError", "Player"]


class PlayError(Exception):
    """A cassette is not played, or what was recorded is not kept; the message says why."""


class Player:
    """One process for a run of tests. Whoever starts it closes it."""

    def __init__(self, mode: str, rules: Path | None, *, errors: bool) -> None:
        """`rules` where the environment names none; with `errors` those of providers are recorded, too."""
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115  # `close` does
        self._process = subprocess.Popen(
            [sys.executable, "-m", "askonce.testing"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C is for the tests; what they recorded is kept
        )
        self.variables: dict[str, str] = {}
        """What a test needs in its environment."""
        self.used: dict[str, list[str]] = {}
        """Cassette -> the keys of the answers that were asked for."""
        rules = None if os.environ.get("ASKONCE_RULES") else rules
        self._write({"mode": mode, "rules": rules and str(rules), "errors": errors})

    def play(self, path: Path) -> None:
        """Answer from the cassette at `path` from now on, and record there. Raises `PlayError`."""
        self._ask({"play": str(path)} | ({} if self.variables else {"environ": dict(os.environ)}))

    def close(self) -> None:
        """Record what is left, and end the process. Raises `PlayError`."""
        try:
            if self.variables:
                self._ask({"play": None})
            else:
                self._process.kill()  # nothing was asked of it
        finally:
            assert self._process.stdin and self._process.stdout
            with suppress(BrokenPipeError):
                self._process.stdin.close()
            self._process.wait()
            self._process.stdout.close()
            self._said.close()

    def _ask(self, asked: dict[str, Any]) -> None:
        assert self._process.stdout
        self._write(asked)
        line = self._process.stdout.readline()
        if not line:
            raise PlayError(f"the proxy did not start: {self._last_words()}")
        told = json.loads(line)
        self.variables = told.get("variables") or self.variables
        for cassette, keys in told.get("used", {}).items():
            self.used.setdefault(cassette, []).extend(keys)
        if error := told.get("error"):
            raise PlayError(error)

    def _write(self, value: dict[str, Any]) -> None:
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps(value) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise PlayError(f"the proxy did not start: {self._last_words()}") from None

    def _last_words(self) -> str:
        self._process.wait()
        self._said.seek(0)
        return last_words(self._said.read()) or "it said nothing"
