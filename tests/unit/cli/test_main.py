import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from askonce import __version__
from askonce.cli import main

COMMANDS = [
    "serve",
    "web",
    "exec",
    "env",
    "doctor",
    "demo",
    "stats",
    "tune",
    "cache",
    "rules",
    "certs",
    "keys",
    "store",
    "eval",
    "bench",
]
HEAVY = ("mitmproxy", "numpy", "pydantic", "fastapi", "httpx", "cryptography", "rich.markdown", "yaml", "asyncio")


def test_help_lists_every_command(askonce: Callable[..., Any]) -> None:
    done = askonce("--help")
    names = [line.split()[0] for line in done.out.partition("Commands:\n")[2].splitlines()]
    assert names == COMMANDS


def test_help_reads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['askonce', '--help']; from askonce.cli import main\n"
        "try: main()\nfinally: print([name for name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert not [name for name in HEAVY if repr(name) in done.stderr]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(askonce: Callable[..., Any], command: str) -> None:
    done = askonce(command, "-h")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"Usage: askonce {command} ")


@pytest.mark.parametrize("group", ["", *COMMANDS])
def test_no_summary_of_a_command_is_cut_off(askonce: Callable[..., Any], group: str) -> None:
    listed = askonce(*group.split(), "--help").out.partition("Commands:\n")[2]
    assert "..." not in listed


@pytest.mark.parametrize(
    ("shell", "line"), [("bash", "complete -o default"), ("zsh", "#compdef askonce"), ("fish", "complete ")]
)
def test_shells_complete_commands(shell: str, line: str) -> None:
    command = [sys.executable, "-m", "askonce", "--show-completion", shell]
    shown = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    )
    assert (shown.returncode, line in shown.stdout) == (0, True)
    words = {"_ASKONCE_COMPLETE": "complete_bash", "COMP_WORDS": "askonce cache ex", "COMP_CWORD": "2"}
    done = subprocess.run([sys.executable, "-m", "askonce"], capture_output=True, text=True, env=os.environ | words)
    assert done.stdout.split() == ["export"]


def test_a_port_that_is_taken_is_told_before_anything_is_loaded(askonce: Callable[..., Any]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        code = (
            f"import sys; sys.argv = ['askonce', 'serve', '--listen', '{listen}']; from askonce.cli import main\n"
            "try: main()\nfinally: print([name for name in sys.modules], file=sys.stdout)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"askonce: cannot listen on {listen}: Address already in use; ")
    assert len(done.stderr.splitlines()) == 1
    assert not [name for name in ("mitmproxy", "numpy", "fastapi") if repr(name) in done.stdout]


def test_the_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "askonce", "--version"], capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == (f"askonce {__version__}\n", "", 0)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["serve", "--listen", "8080"],
            2,
            "--listen: expected HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080; got '8080'",
        ),
        (
            ["serve", "--listen", "0.0.0.0:8080"],
            2,
            "listening on 0.0.0.0:8080 lets others reach the cache: "
            "set ASKONCE_TOKEN to a secret for the management API, or listen on 127.0.0.1",
        ),
        (["rules", "check", "no/such.yaml"], 2, "{here}/no/such.yaml: cannot be read: No such file or directory"),
        (["stats"], 1, "no proxy runs at 127.0.0.1:1; start one with `askonce serve`"),
        (["cache", "list"], 1, "no proxy runs at 127.0.0.1:1, and there is no data folder at {here}/data"),
        (["certs"], 2, "{here}/certs/mitmproxy-ca-cert.pem: there is none yet; `askonce serve` makes it"),
        (["exec", "--", "no-such-command"], 127, "no-such-command: command not found"),
    ],
)
def test_a_failure_is_one_line(
    askonce: Callable[..., Any], arguments: list[str], code: int, message: str, tmp_path: Path
) -> None:
    done = askonce(*arguments)
    assert (done.out, done.err) == ("", f"askonce: {message.format(here=tmp_path)}\n")
    assert done.code == code


def test_a_fault_of_ours_is_one_line_too(askonce: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise RuntimeError("oops")

    monkeypatch.setattr("askonce.settings.Settings.from_env", fail)
    done = askonce("stats")
    assert done.err == "askonce: internal error: RuntimeError: oops (ASKONCE_DEBUG=1 shows where)\n"
    assert done.code == 1
    monkeypatch.setenv("ASKONCE_DEBUG", "1")
    with pytest.raises(RuntimeError):
        main()
