"""What goes wrong inside Askonce or around it, for real: the app's call reaches the provider, and the log says why."""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import os
import resource
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.support.waiting import PATIENCE, until

from askonce.exec.proxy_process import IN_USE

if TYPE_CHECKING:
    from tests.e2e.conftest import Provider, Proxy, StartProxy

REPOSITORY = Path(__file__).parents[2]
URL = "https://api.openai.com/v1/chat/completions"
RULES = """
version: 1
upstreams:
  - {name: openai, hosts: [api.openai.com], paths: [/v1/chat/completions], wire: openai-chat}
"""


def body(question: str, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": question}], **more}


def is_hit(response: httpx.Response) -> bool:
    return response.headers["cache-status"].startswith("askonce; hit")


@contextlib.contextmanager
def as_app(proxy: Proxy, key: str) -> Iterator[httpx.Client]:
    trusting = ssl.create_default_context(cafile=str(proxy.bundle))
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(proxy=proxy.url, verify=trusting, headers=headers, trust_env=False, timeout=PATIENCE) as client:
        yield client


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("rules") / "rules.yaml"
    file.write_text(RULES)
    return file


@pytest.fixture(scope="module")
def faulty(start_module_proxy: StartProxy, rules: Path) -> Proxy:
    """A proxy to which bad things happen, one after the other."""
    return start_module_proxy(rules=rules)


@pytest.fixture
def client(faulty: Proxy, api_key: str) -> Iterator[httpx.Client]:
    with as_app(faulty, api_key) as client:
        yield client


@pytest.fixture
def said(faulty: Proxy) -> Callable[[], list[str]]:
    """The lines that were logged since the test began."""
    before = len(faulty.log())
    return lambda: faulty.log()[before:].splitlines()


def test_a_malformed_body_reaches_the_provider_as_it_is(
    client: httpx.Client, provider: Provider, said: Callable[[], list[str]]
) -> None:
    bodies = [b"{", b"not json", b"[]", b'{"model": "gpt-4o"}', b'{"messages": "hi"}', b"\xff\xfe", b""]
    for content in bodies:
        answer = client.post(URL, content=content, headers={"content-type": "application/json"})
        assert answer.headers["cache-status"] == "askonce; fwd=bypass; detail=unreadable"
    garbled = client.post(URL, content=b"no gzip", headers={"content-encoding": "gzip"})
    assert garbled.status_code == 400  # the provider's own word
    reached = [base64.b64decode(call["body_base64"]) for call in provider.stats()["requests"]]
    assert reached == [*bodies, b"no gzip"]
    lines = [line for line in said() if "unreadable openai request" in line]
    assert len(lines) == 1
    assert "it is forwarded as it is, and not cached" in lines[0]


def test_a_broken_rules_file_keeps_the_old_rules(
    faulty: Proxy, client: httpx.Client, rules: Path, provider: Provider, said: Callable[[], list[str]]
) -> None:
    rules.write_text(RULES.replace("openai-chat", "opnai-chat"))
    until(lambda: any("the rules stay as they were" in line for line in said()))
    client.post(URL, json=body("How fast is light?"))
    assert is_hit(client.post(URL, json=body("How fast is light?")))
    assert provider.calls() == 1
    time.sleep(0.3)
    mistakes = [line for line in said() if "upstreams[0].wire: expected one of" in line]
    assert len(mistakes) == 1
    assert f"{rules}:4:" in mistakes[0]
    refused = httpx.post(f"{faulty.url}/v1/reload", trust_env=False)
    assert refused.status_code == 400
    assert "upstreams[0].wire" in refused.json()["error"]
    rules.write_text(RULES + '  - {name: groq, hosts: [api.groq.com], paths: ["/**"], wire: openai-chat}\n')
    until(lambda: any("rules reloaded" in line for line in said()))


def test_sighup_reloads_the_rules(faulty: Proxy, rules: Path, said: Callable[[], list[str]]) -> None:
    until(lambda: "groq" in rules.read_text())
    rules.write_text("{")
    until(lambda: any("the rules stay as they were" in line for line in said()))
    seen = len(said())
    faulty.process.send_signal(signal.SIGHUP)
    until(lambda: any("the rules stay as they were" in line for line in said()[seen:]))
    rules.write_text(RULES)
    until(lambda: any("rules reloaded" in line for line in said()[seen:]))
    assert httpx.get(f"{faulty.url}/health/ready", trust_env=False).status_code == 200


def _degraded(proxy: Proxy, client: httpx.Client) -> dict[str, Any] | None:
    """What it says of itself, where the write of one more answer was refused and it says so everywhere: here some fit,
    whenever SQLite begins its log anew."""
    lost = client.post(URL, json=body(f"What is lost? {uuid.uuid4()} " + "x" * 1500)).headers["cache-status"]
    told: dict[str, Any] = proxy.get("/health/ready")
    others = proxy.get("/health")["status"], proxy.get("/v1/checks")["checks"][0]["name"]
    return told if told["status"] == "degraded" and others == ("degraded", "store") and "stored" not in lost else None


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux can limit another process's files")
def test_a_full_disk_costs_no_call(
    faulty: Proxy, client: httpx.Client, provider: Provider, said: Callable[[], list[str]]
) -> None:
    """A file that may not grow is to the store what a full disk is: a write that the system refuses."""
    client.post(URL, json=body("Who wrote Hamlet?"))
    until(lambda: faulty.get("/v1/cache?prompt=Hamlet")["count"])
    files = [file.stat().st_size for file in (*faulty.data.rglob("*"), faulty.log_file) if file.is_file()]
    room = max(files) + 4096
    pid = faulty.process.pid
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    try:
        for number in range(40):
            answer = client.post(URL, json=body(f"What is {number} times {number}? " + "x" * 1500))
            assert answer.status_code == 200
            assert answer.headers["cache-status"].startswith("askonce; fwd=miss")
        assert provider.calls() == 41
        until(lambda: any("disk" in line for line in said()))
        assert is_hit(client.post(URL, json=body("Who wrote Hamlet?")))  # what is kept is served
        assert faulty.get("/health/live")["status"] == "alive"
        told = until(lambda: _degraded(faulty, client))
        assert (told["ready"], told["checks"]["database"]) == (True, False)
        assert told["error"].startswith("the disk ")
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    complaints = [line for line in said() if "disk" in line]
    assert len(complaints) == 1, complaints
    assert "answers are not kept" in complaints[0]
    # Once there is room again, answers are kept again.
    until(lambda: faulty.get("/health/ready")["status"] == "ready")
    assert "stored" in client.post(URL, json=body("Who wrote Emma?")).headers["cache-status"]
    until(lambda: faulty.get("/v1/cache?prompt=Emma")["count"])


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nobody may write there, root neither: files that may not be changed stand for a file system that may not."""

    def change(sign: str) -> int:
        return subprocess.run(["chattr", "-R", f"{sign}i", str(folder)], capture_output=True, check=False).returncode

    if not shutil.which("chattr"):
        pytest.skip("there is no chattr")
    try:
        if change("+"):
            pytest.skip("only root can do so, and on some file systems")
        yield
    finally:
        change("-")


def test_a_start_on_a_read_only_data_folder_says_why_in_one_line(rules: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with read_only(tmp_path / "data"):
        started = start("127.0.0.1:0", tmp_path, rules)
    assert started.returncode == 1
    (line,) = started.stderr.splitlines()
    assert line.startswith("askonce: ")
    assert str(tmp_path / "data") in line


def test_a_data_folder_that_becomes_read_only_costs_no_call_and_no_clean_end(
    start_proxy: StartProxy, rules: Path, tmp_path: Path, api_key: str
) -> None:
    """The system kills who writes to a file that is mapped and may not be written any more (SIGBUS)."""
    proxy = start_proxy(rules=rules)
    with as_app(proxy, api_key) as client:
        client.post(URL, json=body("Who wrote Hamlet?"))
        proxy.settle()
        os.sync()  # a page of a map that is not written out yet may be written to all the same
        with read_only(proxy.data):
            assert is_hit(client.post(URL, json=body("Who wrote Hamlet?")))
            for number in range(3):
                assert client.post(URL, json=body(f"What is {number} plus one?")).is_success
            proxy.settle()
            assert proxy.get("/health/live")["status"] == "alive"
            proxy.stop()
        proxy.restart()
        assert is_hit(client.post(URL, json=body("Who wrote Hamlet?")))


def test_an_embedder_that_refuses_at_the_start(
    start_proxy: StartProxy, provider: Provider, tmp_path: Path, api_key: str
) -> None:
    (tmp_path / "rules.yaml").write_text(RULES + "embedder: openai:m@http://127.0.0.1:9/v1\n")
    proxy = start_proxy(rules=tmp_path / "rules.yaml")
    with as_app(proxy, api_key) as client:
        for question in ("Who wrote Hamlet?", "Tell me who wrote Hamlet."):
            assert client.post(URL, json=body(question)).status_code == 200
        assert provider.calls() == 2
        assert is_hit(client.post(URL, json=body("Who wrote Hamlet?")))
    lines = [line for line in proxy.log().splitlines() if " embedder: " in line]
    assert len(lines) == 1
    assert "only identical questions are recognised" in lines[0]


class Embeddings(http.server.BaseHTTPRequestHandler):
    """OpenAI's embeddings: a vector of the words' lengths."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        data = [
            {"object": "embedding", "index": index, "embedding": [float(len(text)), 1.0, 0.0]}
            for index, text in enumerate(asked["input"])
        ]
        answer = json.dumps({"object": "list", "data": data, "model": "m", "usage": {}}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


def test_an_embedder_that_fails_later(
    start_proxy: StartProxy, provider: Provider, tmp_path: Path, api_key: str
) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Embeddings) as embeddings:
        thread = threading.Thread(target=embeddings.serve_forever, args=(0.02,))
        thread.start()
        place = f"http://127.0.0.1:{embeddings.server_address[1]}/v1"
        (tmp_path / "rules.yaml").write_text(RULES + f"embedder: openai:m@{place}\n")
        proxy = start_proxy(rules=tmp_path / "rules.yaml")
        with as_app(proxy, api_key) as client:
            assert client.post(URL, json=body("Who wrote Hamlet?")).status_code == 200
            until(lambda: proxy.get("/v1/cache")["count"])
            embeddings.shutdown()
            thread.join()
            embeddings.server_close()
            for question in ("Tell me who wrote Hamlet.", "Who wrote Emma?", "Who wrote Nana?"):
                assert client.post(URL, json=body(question)).status_code == 200
            assert provider.calls() == 4
            assert is_hit(client.post(URL, json=body("Who wrote Hamlet?")))
            assert is_hit(client.post(URL, json=body("Who wrote Emma?")))  # kept for identical calls
    lines = [line for line in proxy.log().splitlines() if " embedder: " in line]
    assert len(lines) == 1
    assert "reworded questions are not recognised" in lines[0]


# Bodies beyond measure


class Warehouse(http.server.BaseHTTPRequestHandler):
    """Takes and gives any amount."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        left = size = int(self.headers["content-length"])
        while left:
            left -= len(self.rfile.read(min(left, 1 << 20)))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.send_header("x-size", str(size))
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", str(HUGE))
        self.end_headers()
        for _ in range(HUGE >> 20):
            self.wfile.write(bytes(1 << 20))

    def log_message(self, *_: object) -> None:
        pass


HUGE = 80 << 20


def test_huge_bodies_pass(faulty: Proxy, rules: Path, said: Callable[[], list[str]]) -> None:
    """Larger than Askonce holds: of hosts that no rule names, and of a rule's."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Warehouse) as warehouse:
        thread = threading.Thread(target=warehouse.serve_forever, args=(0.02,))
        thread.start()
        place = f"http://127.0.0.1:{warehouse.server_address[1]}"
        rule = f'  - {{name: house, hosts: ["{place}"], paths: [/v1/chat], wire: openai-chat}}\n'
        rules.write_text(RULES + rule)
        until(lambda: any("rules reloaded" in line for line in said()))
        with httpx.Client(proxy=faulty.url, trust_env=False, timeout=PATIENCE) as client:
            small = client.post(f"{place}/v1/chat", json=body("Who wrote Hamlet?"))
            assert small.headers["cache-status"].startswith("askonce; fwd=miss")
            for path in ("/v1/chat", "/v1/files"):
                assert client.post(place + path, content=bytes(HUGE)).headers["x-size"] == str(HUGE)
            with client.stream("GET", f"{place}/file") as response:
                assert sum(len(part) for part in response.iter_raw()) == HUGE
        warehouse.shutdown()
        thread.join()
    rules.write_text(RULES)


# Starts that cannot be


def start(listen: str, folder: Path, rules: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "askonce", "serve", "--listen", listen, "--rules", str(rules)]
    command += ["--data", str(folder / "data"), "--certs", str(folder / "certs")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ASKONCE_")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE)


def test_a_start_that_cannot_be_says_why_in_one_line(faulty: Proxy, rules: Path) -> None:
    assert f"ready; the page is at {faulty.url}/" in faulty.log()
    second = start("127.0.0.1:0", faulty.data.parent, rules)
    assert second.returncode == IN_USE
    assert second.stderr == f"askonce: {faulty.data} is in use by another Askonce\n"
