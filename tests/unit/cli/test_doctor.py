"""`askonce doctor` with each fault that it knows, planted."""

import http.server
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from askonce.cache.store.embedded import database
from askonce.exec.proxy_process import note_holder
from askonce.trust import authority, ensure_ca

RULES = """
version: 1
upstreams:
  - {name: openai, hosts: [api.openai.com], paths: [/v1/chat/completions], wire: openai-chat}
"""

type Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def _rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "rules.yaml").write_text(RULES)


def faults(done: Any) -> list[str]:
    return [line for line in done.out.splitlines() if not line.endswith(": well")]


def test_broken_rules(askonce: Run, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("version: 1\nupstreams: []\n")
    done = askonce("doctor")
    mistake = f"{tmp_path}/rules.yaml:2: upstreams: expected at least one"
    assert (done.code, faults(done)) == (1, [f"rules.yaml: {mistake}; mend these lines"])


def test_a_clock_that_is_wrong(askonce: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authority, "_BACKDATED", timedelta(days=-400))
    ensure_ca(tmp_path / "certs", ["api.openai.com"], environ={})
    done = askonce("doctor")
    (line,) = faults(done)
    assert done.code == 1
    assert line.startswith("clock: this machine's clock says 2")
    assert line.endswith("; set the clock; programs refuse certificates that are not valid yet")


def test_a_port_that_is_taken(askonce: Run) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        place = f"127.0.0.1:{server.server_address[1]}"
        done = askonce("doctor", "--listen", place)
        server.shutdown()
        thread.join()
    assert (done.code, faults(done)) == (
        1,
        [f"port: {place} is taken by something else; stop it, or choose --listen HOST:PORT"],
    )


def test_a_data_folder_in_use(askonce: Run, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    note_holder(tmp_path / "data", "127.0.0.1:9090")
    lock = database.lock(tmp_path / "data")
    try:
        done = askonce("doctor")
    finally:
        lock.close()
    said = f"{tmp_path}/data is in use by another Askonce at 127.0.0.1:9090"
    cure = "give --listen 127.0.0.1:9090, or --data another folder"
    assert (done.code, faults(done)) == (1, [f"data folder: {said}; {cure}"])


@pytest.mark.parametrize(("name", "option"), [("data folder", "--data"), ("certificates", "--certs")])
def test_a_folder_that_is_none(askonce: Run, tmp_path: Path, name: str, option: str) -> None:
    (tmp_path / "file").touch()
    done = askonce("doctor", option, str(tmp_path / "file"))
    cure = f"give {option} a folder that can be written"
    assert (done.code, faults(done)) == (1, [f"{name}: {tmp_path}/file is no folder; {cure}"])


def free_place() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize(
    ("option", "cure"),
    [("--data", "give --data and --certs folders that can be written"), ("--certs", "start it with `askonce serve`")],
)
def test_a_folder_that_cannot_be_made(askonce: Run, tmp_path: Path, option: str, cure: str) -> None:
    (tmp_path / "file").touch()
    done = askonce("doctor", "--listen", free_place(), option, str(tmp_path / "file" / "folder"))
    (line,) = faults(done)
    assert (done.code, line.startswith("proxy: "), f"{tmp_path}/file/folder: Not a directory; {cure}" in line) == (
        1,
        True,
        True,
    )


def test_certificates_that_cannot_be_read(askonce: Run, tmp_path: Path) -> None:
    ensure_ca(tmp_path / "certs", ["api.openai.com"], environ={})
    (tmp_path / "certs" / "mitmproxy-ca.pem").write_text("garbage")
    (line,) = faults(askonce("doctor", "--listen", free_place()))
    assert line.startswith(f"proxy: the proxy did not start: {tmp_path}/certs/mitmproxy-ca.pem: expected a key")
    assert line.endswith("; choose another folder with --certs, or move the file away and Askonce makes its own")


def test_rules_that_are_not_there(askonce: Run, tmp_path: Path) -> None:
    done = askonce("doctor", "--rules", str(tmp_path / "other.yaml"))
    said = f"rules.yaml: {tmp_path}/other.yaml: cannot be read: No such file or directory"
    assert (done.code, faults(done)) == (1, [f"{said}; give --rules a file that is there"])


def test_an_upstream_proxy_that_is_not_there(askonce: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        proxy = f"http://me:secret@127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    done = askonce("doctor")
    (line,) = faults(done)
    place = proxy.replace("me:secret@", "")
    assert line.startswith(f"upstream proxy: {place} (HTTPS_PROXY) cannot be reached: [Errno ")
    assert line.endswith("; mend HTTPS_PROXY, or ask whoever runs it")
    assert done.code == 1


HIDE = {
    "well": ("", []),
    "proxy ignored": (
        "unset HTTPS_PROXY https_proxy ALL_PROXY all_proxy",
        ["curl: it does not go by HTTPS_PROXY; give it the proxy in its own settings: `askonce env` has it"],
    ),
    "not trusted": (
        "unset CURL_CA_BUNDLE SSL_CERT_FILE",
        ["curl: it does not trust the proxy; have it trust `askonce certs path --bundle`"],
    ),
}


@pytest.mark.parametrize("host", ["askonce.internal", "cache.example"])
@pytest.mark.parametrize("fault", HIDE)
def test_a_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, host: str) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("there is no curl on this machine")
    (tmp_path / "rules.yaml").write_text(f"{RULES}manage: {{host: {host}}}\n")
    script, told = HIDE[fault]
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "curl").write_text(f'#!/bin/sh\n{script}\nexec {curl} "$@"\n')
    (folder / "curl").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "askonce", "doctor", "--listen", f"127.0.0.1:{port}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert [line for line in done.stdout.splitlines() if not line.endswith(": well")] == told, done.stderr
    assert done.returncode == bool(told)
