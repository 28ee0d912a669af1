"""The pytest plugin beside other recorders, on one suite with openai's SDK: `python -m benchmarks.recorders`.

Each records from a small provider of this module's and then replays without it. Of each: how long the suite of
docs/testing.md takes more than without any recorder (medians of rounds in turns), and which of the other tests pass.
The others are installed into a temporary folder; only a package index is asked.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.e2e.test_wheel import find_uv

OTHERS = ("vcrpy", "pytest-recording", "pytest-llm-vcr")
SUITE = """
def question(country, **more):
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": f"The capital of {country}?"}], **more}

def test_sync(client):
    assert client.chat.completions.create(**question("France")).choices[0].message.content

def test_stream(client):
    with client.chat.completions.create(**question("Germany", stream=True)) as chunks:
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)

async def test_async(aclient):
    assert (await aclient.chat.completions.create(**question("Japan"))).choices[0].message.content
"""
FEATURES = {
    "async and streamed": """
async def test_it(aclient):
    chunks = await aclient.chat.completions.create(**question("Peru", stream=True))
    assert "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])
""",
    "the order of repeated calls": """
def test_it(client):
    answers = [client.chat.completions.create(**question("Chile")).choices[0].message.content for _ in range(2)]
    assert answers[0] != answers[1]
""",
    "a recorded error (500)": """
def test_it(client):
    with pytest.raises(openai.InternalServerError, match="on purpose"):
        client.chat.completions.create(**question("fail"))
""",
    "another client: aiohttp": """
async def test_it():
    async with aiohttp.ClientSession(trust_env=True) as session:
        url, key = os.environ["OPENAI_BASE_URL"] + "/chat/completions", {"Authorization": "Bearer sk-mine"}
        async with session.post(url, json=question("Italy"), headers=key) as answer:
            assert (await answer.json())["choices"]
""",
    "a program that the test starts": """
def test_it():
    code = "import openai, sys, json; print(openai.OpenAI().chat.completions.create(**json.loads(sys.argv[1])).choices)"
    subprocess.run([sys.executable, "-c", code, json.dumps(question("Spain"))], check=True, timeout=60)
""",
    "no key where it replays": """
def test_it(client):
    assert client.chat.completions.create(**question("Cuba")).choices
""",
    "the key is not in the cassette": """
def test_it(client):
    assert client.chat.completions.create(**question("Norway")).choices
    found = [f.read_text() for f in pathlib.Path(__file__).parent.rglob("*") if f.suffix in (".yaml", ".jsonl")]
    assert not any("sk-mine" in text for text in found)
""",
}
HEAD = (
    "import json, os, pathlib, subprocess, sys\nimport aiohttp, openai, pytest\n{mark}\n"
    + SUITE.partition("def test_sync")[0]
)
CLIENTS = """
import os, httpx, openai, pytest, pytest_asyncio

@pytest.fixture
def client({sync}):
    yield openai.OpenAI(max_retries=0{http_client})

@pytest_asyncio.fixture
async def aclient({asynchronous}):
    async with openai.AsyncOpenAI(max_retries=0{ahttp_client}) as client:
        yield client
"""
PLAIN = CLIENTS.format(sync="", http_client="", asynchronous="", ahttp_client="")


@dataclass(frozen=True)
class Recorder:
    name: str
    plugins: tuple[str, ...] = ()
    mark: str = ""
    conftest: str = PLAIN
    record: tuple[str, ...] = ()
    replay: tuple[str, ...] = ()


VCR = """
import vcr

@pytest.fixture(autouse=True)
def cassette(request):
    mode = os.environ["RECORDING"]
    path = f"{request.path.parent}/cassettes/{request.path.stem}-{request.node.name}.yaml"
    with vcr.use_cassette(path, record_mode=mode):
        yield
"""
RECORDERS = (
    Recorder("none"),
    Recorder(
        "askonce",
        ("askonce.testing.plugin",),
        "pytestmark = pytest.mark.askonce",
        record=("--askonce-mode=record", "--askonce-errors"),
    ),
    Recorder("vcr.py", conftest=PLAIN + VCR),
    Recorder(
        "pytest-recording",
        ("pytest_recording.plugin",),
        "pytestmark = pytest.mark.vcr",
        record=("--record-mode=rewrite",),
        replay=("--record-mode=none",),
    ),
    Recorder(
        "pytest-llm-vcr",
        ("llm_vcr.plugin",),
        conftest=CLIENTS.format(
            sync="llm_vcr_client",
            http_client=", http_client=llm_vcr_client",
            asynchronous="llm_vcr_async_client",
            ahttp_client=", http_client=llm_vcr_async_client",
        ),
        record=("--llm-vcr-record",),
    ),
)


class Provider(BaseHTTPRequestHandler):
    """Speaks OpenAI's chat completions, answers each call otherwise, and fails where it is asked to."""

    protocol_version = "HTTP/1.1"
    calls = 0

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_POST(self) -> None:
        Provider.calls += 1
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = f"Answer {Provider.calls}."
        if "fail" in asked["messages"][-1]["content"]:
            self._answer(500, "application/json", json.dumps({"error": {"message": "on purpose"}}))
        elif asked.get("stream"):
            ends = [_chunk({"role": "assistant", "content": said}, None), _chunk({}, "stop"), "[DONE]"]
            self._answer(200, "text/event-stream", "".join(f"data: {one}\n\n" for one in ends))
        else:
            message = {"role": "assistant", "content": said}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self._answer(200, "application/json", json.dumps({**_told("chat.completion"), "choices": [choice]}))

    def _answer(self, status: int, kind: str, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())


def _told(kind: str) -> dict[str, Any]:
    usage = {"prompt_tokens": 8, "completion_tokens": 3, "total_tokens": 11}
    return {"id": "chatcmpl-1", "object": kind, "created": 1760000000, "model": "gpt-4o-mini", "usage": usage}


def _chunk(delta: dict[str, str], finish: str | None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return json.dumps({**_told("chat.completion.chunk"), "usage": None, "choices": [choice]})


@contextmanager
def provider() -> Iterator[str]:
    """Its base URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Provider) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Bench:
    """A folder for each recorder, with the suite and the other tests."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        packages = folder / "packages"
        subprocess.run(
            [find_uv(), "pip", "install", "--quiet", "--no-deps", "--target", packages, *OTHERS, "structlog"],
            check=True,
        )
        self.environment = {n: v for n, v in os.environ.items() if not n.startswith(("ASKONCE_", "OPENAI_"))} | {
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": str(packages),
            "OPENAI_BASE_URL": f"{url}/v1",
            "ASKONCE_DATA": str(folder / "home/data"),
            "ASKONCE_CERTS": str(folder / "home/certs"),
        }
        for recorder in RECORDERS:
            self._lay(recorder)

    def _lay(self, recorder: Recorder) -> None:
        at = self.folder / recorder.name
        at.mkdir()
        rule = {"name": "local", "hosts": [self.url], "paths": ["/v1/chat/completions"], "wire": "openai-chat"}
        (at / "rules.yaml").write_text(json.dumps({"version": 1, "upstreams": [rule]}), "utf-8")
        (at / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n", "utf-8")
        (at / "conftest.py").write_text(recorder.conftest, "utf-8")
        (at / "test_suite.py").write_text(f"import pytest\n{recorder.mark}\n{SUITE}", "utf-8")
        for number, test in enumerate(FEATURES.values()):
            (at / f"test_feature{number}.py").write_text(HEAD.replace("{mark}", recorder.mark) + test, "utf-8")

    def run(self, recorder: Recorder, file: str, recording: bool) -> tuple[bool, float, str]:
        """Whether its tests pass, the seconds that took, and what was said."""
        more = recorder.record if recording else recorder.replay
        key = {"OPENAI_API_KEY": "sk-mine"} if recording or file != _FILES["no key where it replays"] else {}
        plugins = [word for name in ("pytest_asyncio.plugin", *recorder.plugins) for word in ("-p", name)]
        mode = {"RECORDING": "all" if recording else "none", "LLM_VCR_CASSETTE_DIR": "cassettes"}
        begin = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugins, *more, file],
            cwd=self.folder / recorder.name,
            env=self.environment | key | mode,
            capture_output=True,
            text=True,
        )
        return done.returncode == 0, time.monotonic() - begin, done.stdout + done.stderr

    def replays(self, recorder: Recorder, file: str) -> tuple[bool, str]:
        """Whether a test passes when it is recorded and again when it is replayed, which asks nobody."""
        if recorder.name != "none":
            good, _, told = self.run(recorder, file, recording=True)
            if not good:
                return False, told
        before = Provider.calls
        good, _, told = self.run(recorder, file, recording=False)
        return good and (Provider.calls == before or recorder.name == "none"), told


_FILES = {name: f"test_feature{number}.py" for number, name in enumerate(FEATURES)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recorders", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--verbose", action="store_true", help="say what failed tests said")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="askonce-recorders-"))
    try:
        with provider() as url:
            compare(Bench(folder, url), asked.rounds, asked.verbose)
    finally:
        shutil.rmtree(folder)


def compare(bench: Bench, rounds: int, verbose: bool) -> None:
    able = []
    for recorder in RECORDERS:
        good, told = bench.replays(recorder, "test_suite.py")
        if good:
            able.append(recorder)
        else:
            print(f"{recorder.name}: does not replay the suite{told if verbose else ''}", flush=True)
    took: dict[str, list[float]] = {recorder.name: [] for recorder in able}
    for _ in range(rounds):
        for recorder in able:
            took[recorder.name].append(bench.run(recorder, "test_suite.py", recording=False)[1])
    plain = statistics.median(took["none"])
    print(f"the suite without a recorder: {plain:.2f} s (median of {rounds} rounds in turns)")
    for recorder in able[1:]:
        middle = statistics.median(took[recorder.name])
        print(f"{recorder.name}: {middle:.2f} s, {middle - plain:+.2f} s, {middle / plain:.2f} times", flush=True)
    for name, file in _FILES.items():
        passed = []
        for recorder in RECORDERS[1:]:
            good, told = bench.replays(recorder, file)
            passed.append(f"{recorder.name} {'yes' if good else 'no'}")
            if verbose and not good:
                print(told)
        print(f"{name}: {', '.join(passed)}", flush=True)


if __name__ == "__main__":
    main()
