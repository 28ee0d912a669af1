"""`askonce rules suggest` with a client whose noise no rule knows, as programs."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e.conftest import Provider
from tests.e2e.test_docs import blocks
from tests.e2e.test_exec import free_port
from tests.support import processes
from tests.support.waiting import PATIENCE

RULES = """
version: 1
upstreams:
  - {{name: house, hosts: ["http://127.0.0.1:{port}"], paths: [/v1/chat/completions], wire: openai-chat}}
"""
CLIENT = """
import datetime, os, sys, tempfile, uuid
import openai

for question in sys.argv[2:]:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        now = datetime.datetime.now(datetime.UTC).isoformat()
        system = f"You are a careful assistant.\\nNow: {now}\\nDirectory: {folder}\\nBe brief."
        answer = openai.OpenAI(base_url=sys.argv[1], api_key="sk-house").chat.completions.create(
            model="gpt-4o",
            metadata={"request_id": str(uuid.uuid4()), "app": "house"},
            messages=[{"role": "system", "content": system}, {"role": "user", "content": question}],
        )
    print(answer.choices[0].message.content)
"""
"""An app that is not changed for Askonce."""

type Run = Callable[..., "tuple[int, str, str]"]


@pytest.fixture
def run(tmp_path: Path, local_provider: Provider) -> Iterator[Run]:
    """run("rules", "suggest", ...) with rules for the provider: exit code, output, remarks."""
    (tmp_path / "rules.yaml").write_text(RULES.format(port=local_provider.port))
    environ = {
        **{name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
        "ASKONCE_RULES": str(tmp_path / "rules.yaml"),
        "ASKONCE_DATA": str(tmp_path / "data"),
        "ASKONCE_CERTS": str(tmp_path / "certs"),
        "ASKONCE_LISTEN": f"127.0.0.1:{free_port()}",
    }
    with contextlib.ExitStack() as started:

        def run(*args: str) -> tuple[int, str, str]:
            process = subprocess.Popen(
                [sys.executable, "-m", "askonce", *args],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            started.callback(processes.end, process)
            out, err = process.communicate(timeout=PATIENCE)
            return process.returncode, out, err

        yield run


def add(rules: Path, lines: dict[str, Any]) -> None:
    """Add lines to the one rule, as a person would."""
    document = yaml.safe_load(rules.read_text())
    document["upstreams"][0].update(lines)
    rules.write_text(yaml.safe_dump(document))


def test_the_lines_make_a_client_hit_whose_noise_no_rule_knows(
    run: Run, local_provider: Provider, tmp_path: Path
) -> None:
    client = (sys.executable, "-c", CLIENT, f"{local_provider.url}/v1", "What is the capital of France?")
    code, out, err = run("rules", "suggest", "--", *client)
    assert (code, local_provider.calls()) == (0, 2), err
    assert err.count("The capital of France is Paris.") == 2
    lines = yaml.safe_load(out)
    [documented] = [text for language, text in blocks("rules.md") if language == "yaml" and "request_id" in text]
    assert lines == yaml.safe_load(documented)
    assert "these would hit: 0 as they are, 1 with these lines" in out and "never" not in out
    assert (tmp_path / "rules.yaml").read_text() == RULES.format(port=local_provider.port)

    add(tmp_path / "rules.yaml", lines)
    # The third run, what it asked asked again, and another question: what the lines overlook is noise.
    asked = ("What is the capital of France?",) * 2 + ("What is the capital of Germany?",)
    client = (sys.executable, "-c", CLIENT, f"{local_provider.url}/v1", *asked)
    code, out, _ = run("exec", "--", *client)
    assert (code, out) == (0, "The capital of France is Paris.\n" * 2 + "The capital of Germany is Berlin.\n")
    assert local_provider.calls() == 4

    code, out, _ = run("rules", "suggest", "--last", "--json")
    [found] = json.loads(out)["rules"]
    assert (code, found["ignore"], found["normalise"]) == (0, [], [])
    code, out, _ = run("cache", "why", "--prompt", asked[-1])
    assert code == 0 and "differs  prompt at $['messages'][1]['content']" in out
    assert [(one["path"], one["why"]) for one in found["content"]] == [("$['messages'][1]['content']", "prompt")]
