"""Record, replay, strict: as a test suite uses them, through `askonce exec`, and the proxy that it starts."""

from __future__ import annotations

import json
import os
import shlex
import ssl
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.support.waiting import PATIENCE

if TYPE_CHECKING:
    from tests.e2e.conftest import Provider, Proxy, StartProxy

URL = "https://api.openai.com/v1/chat/completions"
FRANCE, GERMANY = "What is the capital of France?", "What is the capital of Germany?"
PARIS, BERLIN = "The capital of France is Paris.", "The capital of Germany is Berlin."
SUITE = """
import openai

def ask(question, **more):
    messages = [{"role": "user", "content": question}]
    return openai.OpenAI().chat.completions.create(model="gpt-4o-mini", messages=messages, **more)

def test_france():
    answer = ask("What is the capital of France?").choices[0].message.content
    assert answer == "The capital of France is Paris."

def test_stream():
    chunks = ask("What is the capital of Germany?", stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "The capital of Germany is Berlin."
"""


def call(question: str, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": question}], **more}


def ask(proxy: Proxy, *calls: dict[str, Any] | bytes, key: str = "sk-1", control: str = "") -> list[httpx.Response]:
    """The responses to calls that are made one after the other."""
    headers = {"authorization": f"Bearer {key}", **({"cache-control": control} if control else {})}
    trusting = ssl.create_default_context(cafile=str(proxy.bundle))
    with httpx.Client(proxy=proxy.url, verify=trusting, trust_env=False, headers=headers, timeout=PATIENCE) as client:
        bodies = [asked if isinstance(asked, bytes) else json.dumps(asked).encode() for asked in calls]
        return [client.post(URL, content=body) for body in bodies]


def told(responses: list[httpx.Response]) -> list[str]:
    return [response.json()["choices"][0]["message"]["content"] for response in responses]


def why(response: httpx.Response) -> list[str]:
    """The lines of a strict refusal."""
    assert response.status_code == 504
    lines: list[str] = response.json()["error"]["message"].splitlines()
    assert lines.pop().startswith("To record it: askonce exec --mode record (or replay) with the same --cassette")
    return lines


def recorded(cassette: Path) -> dict[str, str]:
    """prompt -> line, in the order of the file."""
    _, *lines = cassette.read_text("utf-8").splitlines()
    return {json.loads(line)["prompt"]: line for line in lines}


class Machine:
    """A machine with its own data, certificates and key: `exec` runs a pytest suite there."""

    def __init__(self, folder: Path, provider: Provider, routes: dict[str, int], key: str) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "test_app.py").write_text(SUITE)
        self.environment = {
            **{name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
            "ASKONCE_DATA": str(folder / "data"),
            "ASKONCE_CERTS": str(folder / "certs"),
            "ASKONCE_UPSTREAM_CA": str(provider.ca_file),
            "ASKONCE_TEST_ROUTES": json.dumps(routes),
            "PYTHONPATH": str(Path(__file__).parent / "route"),
            "OPENAI_API_KEY": key,
        }

    def exec(self, *options: str) -> tuple[int, str, str]:
        suite = f"{sys.executable} -m pytest -q -p no:cacheprovider -p no:asyncio --rootdir . -c {os.devnull}"
        done = subprocess.run(
            [sys.executable, "-m", "askonce", "exec", *options, "--", *shlex.split(suite)],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        started, _, rest = done.stderr.partition("\n")
        assert started.startswith("askonce: starting a proxy at "), done.stderr
        return done.returncode, done.stdout, rest


def test_a_suite_is_recorded_once_and_runs_strictly_on_another_machine(
    provider: Provider, routes: dict[str, int], tmp_path: Path
) -> None:
    cassette = tmp_path / "cassette.jsonl"
    mine = Machine(tmp_path / "mine", provider, routes, "sk-mine")
    code, out, err = mine.exec("--mode", "record", "--cassette", str(cassette))
    assert (code, err) == (0, f"askonce: 2 recorded in {cassette}\n"), out
    assert list(recorded(cassette)) == [FRANCE, GERMANY]
    text = cassette.read_bytes()
    assert b"sk-mine" not in text and str(tmp_path).encode() not in text
    assert provider.calls() == 2

    ci = Machine(tmp_path / "ci", provider, routes, "sk-ci")
    with (ci.folder / "test_app.py").open("a") as suite:
        suite.write('\ndef test_new():\n    ask("What is the capital of Spain?")\n')
    code, out, err = ci.exec("--mode", "strict", "--cassette", str(cassette))
    assert (code, err) == (1, "")
    assert "1 failed, 2 passed" in out
    assert "no answer to this call is recorded (openai-chat, gpt-4o-mini): no entry" in out
    assert "it differs in: prompt" in out
    assert cassette.read_bytes() == text
    assert provider.calls() == 2


@pytest.fixture
def cassette(start_proxy: StartProxy, provider: Provider, tmp_path: Path) -> Path:
    """A cassette with answers on France and Germany, as asked with temperature 0."""
    path = tmp_path / "cassette.jsonl"
    proxy = start_proxy(arguments=["--mode", "record", "--cassette", str(path)])
    assert told(ask(proxy, call(FRANCE, temperature=0), call(GERMANY, temperature=0))) == [PARIS, BERLIN]
    proxy.settle()
    proxy.stop()
    provider.reset()
    return path


def test_strict_tells_what_differs_and_asks_nothing(
    start_proxy: StartProxy, provider: Provider, cassette: Path
) -> None:
    before = cassette.read_bytes()
    key = json.loads(recorded(cassette)[FRANCE])["key"]
    proxy = start_proxy(arguments=["--mode", "strict", "--cassette", str(cassette)])
    assert told(ask(proxy, call(FRANCE, temperature=0), key="sk-other")) == [PARIS]
    warm, other, reworded, unreadable = ask(
        proxy,
        call(FRANCE, temperature=0.5),
        call("What is the capital of Spain?", temperature=0),
        call("Please, what is the capital of France?", temperature=0),
        b'{"messages": 5}',
    )
    assert why(warm) == [
        "Askonce is strict, and no answer to this call is recorded (openai-chat, gpt-4o-mini): no entry",
        f"The nearest recorded call is {key}; it differs in: sampling",
        "  sampling:",
        "    - recorded: none, or not in the cassette",
        "    + asked:    '{\"temperature\":0.5}'",
    ]
    assert why(other)[1:] == [
        f"The nearest recorded call is {key}; it differs in: prompt",
        "  prompt:",
        "    - recorded: 'What is the capital of France?'",
        "    + asked:    'What is the capital of Spain?'",
    ]
    assert why(reworded)[1] == f"The nearest recorded call is {key}; it differs in: prompt"
    assert why(unreadable) == ["Askonce is strict, and no answer to this call is recorded (openai-chat): unreadable"]
    assert other.headers["cache-status"] == "askonce; fwd=miss; detail=strict"
    for control in ("no-store", "no-cache"):
        (refused,) = ask(proxy, call(FRANCE, temperature=0), control=control)
        assert why(refused)[0].endswith(f": {control}")
    proxy.stop()
    assert (provider.calls(), cassette.read_bytes()) == (0, before)


def test_replay_answers_what_is_known_and_records_the_rest(
    start_proxy: StartProxy, provider: Provider, cassette: Path
) -> None:
    before = recorded(cassette)
    proxy = start_proxy(arguments=["--mode", "replay", "--cassette", str(cassette)])
    known = ask(proxy, call(FRANCE, temperature=0), call("Please, what is the capital of France?", temperature=0))
    assert (told(known), provider.calls()) == ([PARIS, PARIS], 0)
    ask(proxy, call("Who wrote Hamlet?", temperature=0))
    proxy.settle()
    proxy.stop()
    assert provider.calls() == 1
    after = recorded(cassette)
    assert list(after) == [FRANCE, GERMANY, "Who wrote Hamlet?"]
    assert {prompt: after[prompt] for prompt in before} == before


def test_record_asks_again_and_leaves_alone_what_was_not_asked(
    start_proxy: StartProxy, provider: Provider, cassette: Path
) -> None:
    before = recorded(cassette)
    proxy = start_proxy(arguments=["--mode", "record", "--cassette", str(cassette)])
    message = {"role": "assistant", "content": "Lutetia."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    final = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    provider.script(json.dumps(final))
    provider.script('{"error": {"message": "overloaded"}}', status=503)
    again, failed = ask(proxy, call(FRANCE, temperature=0), call("Who wrote Hamlet?"))
    assert (told([again]), failed.status_code) == (["Lutetia."], 503)
    proxy.settle()
    proxy.stop()
    after = recorded(cassette)
    assert [prompt for prompt in after if after[prompt] != before[prompt]] == [FRANCE]


def test_without_a_cassette_the_data_folder_is_played(start_proxy: StartProxy, provider: Provider) -> None:
    proxy = start_proxy()
    ask(proxy, call(FRANCE))
    proxy.settle()
    proxy.stop()
    strict = start_proxy(arguments=["--mode", "strict", "--data", str(proxy.data)])
    assert told(ask(strict, call(FRANCE))) == [PARIS]
    (refused,) = ask(strict, call(FRANCE), key="sk-other")
    (text,) = why(refused)[1:]
    assert text.endswith("it differs in: credential")
    assert provider.calls() == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "there is no such cassette; record it first with --mode record, or --mode replay"),
        ('{"askonce":"cassette","version":1,"id":"a"}\n{"prompt": 5}\n', "cassette.jsonl:2: upstream: field required"),
    ],
)
def test_a_cassette_that_cannot_be_played_stops_the_start(text: str | None, expected: str, tmp_path: Path) -> None:
    cassette = tmp_path / "cassette.jsonl"
    if text:
        cassette.write_text(text)
    mode = ["--mode", "strict", "--cassette", str(cassette)]
    folders = ["--certs", str(tmp_path / "certs"), "--data", str(tmp_path / "data")]
    done = subprocess.run(
        [sys.executable, "-m", "askonce", "serve", *mode, "--listen", "127.0.0.1:0", *folders],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (done.returncode, expected in done.stderr, "Traceback" in done.stderr) == (1, True, False), done.stderr
