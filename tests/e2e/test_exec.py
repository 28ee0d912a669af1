"""`askonce exec` and the proxy that it starts, as programs."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.conformance.conftest import node_of_npm, node_of_the_machine
from tests.e2e.conftest import REPOSITORY, Provider
from tests.support import processes
from tests.support.waiting import PATIENCE, until

RULES = """
version: 1
upstreams:
  - {name: openai, hosts: [api.openai.com], paths: [/v1/chat/completions], wire: openai-chat}
"""
ASK = """
import http.client, os, ssl, sys
from urllib.parse import urlsplit
proxy = urlsplit(os.environ["HTTPS_PROXY"])
connection = http.client.HTTPSConnection(proxy.hostname, proxy.port)
connection.set_tunnel("askonce.internal", 443)
connection.request("GET", "/health/ready")
print(connection.getresponse().read().decode(), flush=True)
"""

OLLAMA = """
import ollama, sys
answer = ollama.Client(sys.argv[1]).chat("m", [{"role": "user", "content": "What is the capital of France?"}])
print(answer.message.content)
"""

type Askonce = Callable[..., "subprocess.Popen[str]"]


def free_port(family: socket.AddressFamily = socket.AF_INET) -> int:
    with socket.create_server(("localhost" if family == socket.AF_INET else "::1", 0), family=family) as server:
        return int(server.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def askonce(tmp_path: Path) -> Iterator[Askonce]:
    """askonce(port, "exec", ...) with data, certificates and rules of the test's own; what still runs is ended."""
    (tmp_path / "rules.yaml").write_text(RULES)
    environ = {
        **{name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
        "ASKONCE_RULES": str(tmp_path / "rules.yaml"),
        "ASKONCE_DATA": str(tmp_path / "data"),
        "ASKONCE_CERTS": str(tmp_path / "certs"),
    }

    with contextlib.ExitStack() as started:

        def start(port: int, *args: str, **more: str) -> "subprocess.Popen[str]":
            process = subprocess.Popen(
                [sys.executable, "-m", "askonce", *args],
                env={**environ, "ASKONCE_LISTEN": f"127.0.0.1:{port}", **more},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            started.callback(processes.end, process)  # a command that is asked to stop stops its proxy
            return process

        yield start


def end(process: "subprocess.Popen[str]") -> tuple[int, str, list[str]]:
    """Exit code, what it printed, and what `exec` had to say besides that it starts a proxy and saw no call."""
    out, err = process.communicate(timeout=PATIENCE)
    lines = [line.removeprefix("askonce: ") for line in err.splitlines()]
    return (
        process.returncode,
        out,
        [line for line in lines if not line.startswith(("starting a proxy at ", "no call came"))],
    )


def test_a_command_gets_a_proxy_that_it_trusts_for_as_long_as_it_runs(askonce: Askonce) -> None:
    port = free_port()
    code, out, err = end(askonce(port, "exec", "--", sys.executable, "-c", ASK + "sys.exit(7)"))
    assert (code, err) == (7, [])
    assert out.startswith('{"status":"ready"')
    assert not answers(port)


def test_commands_side_by_side_share_the_proxy_until_the_last_has_ended(askonce: Askonce, tmp_path: Path) -> None:
    port = free_port()
    wait = "import pathlib, sys, time\nwhile not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.05)\n"
    both = [
        askonce(port, "exec", "--", sys.executable, "-c", ASK + wait + ASK, str(tmp_path / name))
        for name in ("first", "second")
    ]
    for process in both:
        assert process.stdout and process.stdout.readline().startswith('{"status":"ready"')
    (tmp_path / "first").touch()
    assert end(both[0])[0] == 0
    assert answers(port)
    (tmp_path / "second").touch()
    code, out, err = end(both[1])
    assert (code, out.count("ready"), err) == (0, 2, [])
    assert not answers(port)


@pytest.mark.parametrize("host", ["[::1]", "localhost"])
def test_a_proxy_has_any_address_of_loopback(askonce: Askonce, host: str) -> None:
    port = free_port(socket.AF_INET6 if host == "[::1]" else socket.AF_INET)
    code, out, err = end(askonce(port, "exec", "--listen", f"{host}:{port}", "--", sys.executable, "-c", ASK))
    assert (code, err) == (0, [])
    assert out.startswith('{"status":"ready"')


def test_a_signal_ends_the_command_and_then_the_proxy(askonce: Askonce) -> None:
    port = free_port()
    process = askonce(port, "exec", "--", sys.executable, "-c", ASK + "import time; time.sleep(1000)")
    assert process.stdout and process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert end(process)[0] == 128 + signal.SIGTERM
    assert not answers(port)


def test_a_proxy_of_somebody_stays(askonce: Askonce, tmp_path: Path) -> None:
    port = free_port()
    proxy = askonce(port, "serve")
    try:
        until(lambda: answers(port))
        for _ in range(2):
            assert end(askonce(port, "exec", "--", sys.executable, "-c", ASK))[0] == 0
        code, out, err = end(askonce(port, "exec", "--certs", str(tmp_path / "other"), "--", "true"))
        assert (code, out) == (1, "")
        assert f"has other certificates than those in {tmp_path}/other" in err[0]
        assert answers(port)
    finally:
        proxy.terminate()
        assert end(proxy)[0] == 0


def test_a_proxy_that_is_just_starting_is_waited_for(askonce: Askonce, tmp_path: Path) -> None:
    port = free_port()
    proxy = askonce(port, "serve")
    try:
        until((tmp_path / "data" / "address").exists)  # it holds the folder, and may not listen yet
        assert end(askonce(port, "exec", "--", sys.executable, "-c", ASK))[0] == 0
        assert proxy.poll() is None
        code, out, err = end(askonce(free_port(), "exec", "--", "true"))
        assert (code, out) == (1, "")
        assert err[-1].endswith(
            f"at 127.0.0.1:{port}: name it with --listen 127.0.0.1:{port}; or give --data another folder"
        )
    finally:
        proxy.terminate()
        assert end(proxy)[0] == 0


def test_what_exec_does_and_misses_is_told(askonce: Askonce) -> None:
    port = free_port()
    _, err = askonce(port, "exec", "--", "true").communicate(timeout=PATIENCE)
    first, second = err.splitlines()
    assert first == f"askonce: starting a proxy at 127.0.0.1:{port}"
    assert second.startswith("askonce: no call came through: nothing of the command came to the proxy; if it asks")


def test_port_0_is_a_proxy_of_one_s_own(askonce: Askonce, tmp_path: Path) -> None:
    show = ASK + "print(proxy.port)"
    code, out, err = end(askonce(0, "exec", "--", sys.executable, "-c", show))
    assert (code, err) == (0, [])
    assert not answers(int(out.splitlines()[-1]))
    assert list((tmp_path / "data" / "exec").iterdir()) == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_with_the_shipped_rules_ollama_on_this_machine_is_asked_once(
    askonce: Askonce, tmp_path: Path, local_provider: Provider, host: str
) -> None:
    shipped = (REPOSITORY / "rules.yaml").read_text("utf-8")
    (tmp_path / "rules.yaml").write_text(shipped.replace("11434", str(local_provider.port)), "utf-8")
    command = [sys.executable, "-c", OLLAMA, f"http://{host}:{local_provider.port}"]
    for _ in range(2):
        process = askonce(free_port(), "exec", "--", *command, NO_PROXY="localhost,127.0.0.1,::1")
        out, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, out) == (0, "The capital of France is Paris.\n")
        assert "no call" not in err
    assert local_provider.calls() == 1


@pytest.mark.parametrize("node", [node_of_the_machine, node_of_npm])
def test_whatever_asks_it_in_node(
    askonce: Askonce, tmp_path: Path, local_provider: Provider, node: Callable[[], list[str | Path]]
) -> None:
    program, app, *_ = node()
    shipped = (REPOSITORY / "rules.yaml").read_text("utf-8")
    (tmp_path / "rules.yaml").write_text(shipped.replace("11434", str(local_provider.port)), "utf-8")
    command = [program, Path(app).with_name("local.mjs"), f"http://localhost:{local_provider.port}"]
    process = askonce(free_port(), "exec", "--", *map(str, command), NO_PROXY="localhost,127.0.0.1,::1")
    out, err = process.communicate(timeout=PATIENCE)
    ways = ("ollama", "axios", "got", "http", "fetch")
    assert (process.returncode, out) == (0, "".join(f"{way} The capital of France is Paris.\n" for way in ways)), err
    assert local_provider.calls() == 1
