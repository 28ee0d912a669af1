"""`serve` as programs and units write it, read without the library that reads command lines."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from askonce.cli import app, plain_serve
from askonce.cli.plain_serve import plain_options

PLAIN: list[list[str]] = [
    [],
    ["--listen", "127.0.0.1:1", "--rules", "r.yaml", "--data", "d", "--certs", "c"],
    ["--mode", "record", "--cassette", "c.jsonl", "--record-errors", "--log-format", "json"],
    ["--workers", "3", "--listen", "127.0.0.1:1", "--listen", "127.0.0.1:2"],
]
OTHERS: list[list[str]] = [
    ["--help"],
    ["--listen"],
    ["--listen=127.0.0.1:1"],
    ["--listen", "--rules"],
    ["--listen", ""],
    ["--lis", "127.0.0.1:1"],
    ["--record-errors", "x"],
    ["--", "--listen", "x"],
    ["x"],
]


@pytest.mark.parametrize("words", PLAIN, ids=" ".join)
def test_it_is_read_as_the_library_reads_it(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LISTEN", "RULES", "DATA", "CERTS", "MODE", "CASSETTE", "LOG_FORMAT", "WORKERS"):
        monkeypatch.delenv(f"ASKONCE_{name}", raising=False)
    given = dict[str, Any]()

    def note(**options: Any) -> int:
        given.update(options)
        return 7

    monkeypatch.setattr(plain_serve, "serve", note)
    assert CliRunner().invoke(app, ["serve", *words]).exit_code == 7
    plain = plain_options(["serve", *words])
    assert plain is not None
    missing = {"listen": None, "mode": None, "log_format": None, "workers": "1", "record_errors": False}
    missing |= dict.fromkeys(("rules", "data", "certs", "cassette"))
    assert {**missing, **plain} == given


@pytest.mark.parametrize("words", OTHERS, ids=" ".join)
def test_anything_else_is_left_to_the_library(words: list[str]) -> None:
    assert plain_options(["serve", *words]) is None


def test_so_are_other_commands() -> None:
    assert plain_options([]) is None
    assert plain_options(["web", "--listen", "127.0.0.1:1"]) is None
    assert plain_options(["--help"]) is None


def test_every_option_of_serve_is_known() -> None:
    serve = typer.main.get_command(app).commands["serve"]  # type: ignore[attr-defined]
    options = {name for option in serve.params for name in option.opts if option.name != "help"}
    assert options == {*plain_serve._TEXTS, *plain_serve._PATHS, "--record-errors"}


def test_the_environment_says_how_many_workers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = list[int]()
    monkeypatch.setattr(plain_serve, "_run_workers", lambda _settings, count: seen.append(count) or 0)
    monkeypatch.setattr(plain_serve, "run", lambda _settings: seen.append(1) or 0)
    for said in ("3", "", "1"):
        monkeypatch.setenv("ASKONCE_WORKERS", said)
        assert plain_serve.serve(data=tmp_path) == 0
    assert plain_serve.serve(data=tmp_path, workers="2") == 0
    assert seen == [3, 1, 1, 2]


def test_a_start_reads_no_library_for_command_lines() -> None:
    code = (
        "import sys; sys.argv = ['askonce', 'serve', '--workers', 'none']\n"
        "from askonce.cli import main\n"
        "try: main()\nfinally: print('typer' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (2, "False")
    assert done.stderr == "askonce: --workers: expected a number from 1 to 256, or auto; got 'none'\n"
