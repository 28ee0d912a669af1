"""Every example of the documentation runs, and answers what it says there."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.support.waiting import PATIENCE

from askonce.products.document import Config

if TYPE_CHECKING:
    from tests.e2e.conftest import Provider, Proxy

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BOUNDARY = "=== end of example ==="
OWN_TAGS = {"page", "rules", "health", "statistics", "cache"}

needs_tools = pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("bash")), reason="curl and bash are needed to run the examples"
)


def blocks(file: str) -> list[tuple[str, str]]:
    """(language, text) of each fenced block."""
    return BLOCK.findall((DOCS / file).read_text("utf-8"))


def run(file: str, folder: Path, port: int, environment: Mapping[str, str]) -> list[tuple[str, tuple[str, str]]]:
    """Run all examples of a page in one shell; for each its output, and the block that follows it."""
    found = blocks(file)
    script = ["set -euo pipefail", 'curl() { command curl --fail-with-body --show-error --max-time 60 "$@"; }']
    following = []
    for place, (language, text) in enumerate(found):
        if language == "sh":
            script += [text.replace("127.0.0.1:8080", f"127.0.0.1:{port}").replace(":8080", f":{port}")]
            script += [f"echo; echo '{BOUNDARY}'; sleep 0.3"]  # a reader takes longer than answers to be kept
            following.append(found[place + 1] if place + 1 < len(found) else ("", ""))
    script.append('[ -z "$(jobs -p)" ] || kill $(jobs -p)')
    commands = folder / "bin"
    commands.mkdir()
    (commands / "askonce").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m askonce "$@"\n')
    (commands / "askonce").chmod(0o755)
    path = os.pathsep.join([str(commands), environment["PATH"]])
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=folder,
        env={**environment, "PATH": path, "OPENAI_API_KEY": "sk-docs"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    outputs = done.stdout.split(BOUNDARY)
    assert done.returncode == 0, (
        f"example {len(outputs)} of {file} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    )
    return list(zip(outputs, following, strict=False))


def shape(value: Any) -> Any:
    """Keys and kinds of a JSON value, numbers all alike."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def contains(real: Any, said: Any, place: str = "$") -> None:
    """Everything that an example shows is really there, of the same kind."""
    if isinstance(said, dict):
        assert isinstance(real, dict), place
        for key, item in said.items():
            assert key in real, f"{place}.{key} is not in the answer: {sorted(real)}"
            contains(real[key], item, f"{place}.{key}")
    elif isinstance(said, list):
        assert isinstance(real, list), place
        if said:
            assert real, f"{place} is empty"
            contains(real[0], said[0], f"{place}[0]")
    else:
        assert shape(real) == shape(said), f"{place}: {real!r}, not like {said!r}"


def check(results: list[tuple[str, tuple[str, str]]]) -> None:
    for output, (language, said) in results:
        if language == "json":
            contains(json.loads(output), json.loads(said))
        elif language == "text":
            real = re.sub(r"ttl=\d+", "ttl=…", output.replace("\r", ""))
            lines = [line for line in real.splitlines() if line.lower().startswith("cache-status:")]
            assert [line.lower() for line in lines] == said.lower().splitlines()


@pytest.fixture
def folder(proxy: Proxy, tmp_path: Path) -> Path:
    """A working directory with `certs`, as after a start in it."""
    (tmp_path / "certs").symlink_to(proxy.certs)
    return tmp_path


@needs_tools
@pytest.mark.parametrize("file", ["management.md", "headers.md", "promptcache.md", "semcache.md"])
def test_examples_against_a_running_proxy(file: str, proxy: Proxy, provider: Provider, folder: Path) -> None:
    results = run(file, folder, proxy.port, {**os.environ, "ASKONCE_TOKEN": "none is needed here"})
    assert len(results) > 1
    check(results)


@pytest.mark.parametrize("file", ["promptcache.md", "semcache.md", "gateway.md", "cachecore.md", "langcache.md"])
def test_python_examples_of_the_products(file: str, proxy: Proxy, provider: Provider) -> None:
    found = [
        text.replace("127.0.0.1:8080", f"127.0.0.1:{proxy.port}") for name, text in blocks(file) if name == "python"
    ]
    assert found
    environment = {**os.environ, "NO_PROXY": "127.0.0.1"}
    for text in found:
        command = [sys.executable, "-W", "error", "-c", text]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert (done.returncode, done.stderr) == (0, ""), text
        assert "Paris" in done.stdout or "print" not in text, done.stdout


@needs_tools
def test_examples_of_operation(proxy: Proxy, provider: Provider, tmp_path: Path) -> None:
    port = free_port()
    environment = {name: value for name, value in proxy.environment.items() if name != "ASKONCE_CERTS"}
    environment["ASKONCE_LISTEN"] = f"127.0.0.1:{port}"  # the examples leave it out, as 8080 is the default
    results = run("operation.md", tmp_path, port, environment)
    told = [output for output, _ in results]
    assert '"status":"ready"' in told[0]
    assert "HTTPS_PROXY" in told[1]
    assert "vouches for" in told[1]
    assert "askonce_cache_entries 0.0" in told[2]
    assert (tmp_path / "data-backup" / "askonce.db").is_file()
    assert (tmp_path / "answers.jsonl").is_file()


@needs_tools
def test_examples_of_the_judge(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ASKONCE_")}
    results = run("judge.md", tmp_path, 8080, environment)
    check(results)
    told = [output for output, _ in results]
    assert told[0].lstrip().startswith("5 pairs, embedder wordllama")
    assert [json.loads(told[1])[name] for name in ("pairs", "recall", "false_reuse")] == [5, 1.0, 0.0]
    assert told[2].split()[:2] == ["2", "prompts"]
    assert [run["hits"] for run in json.loads(told[3])["runs"]] == [1, 1]
    rules = told[4].partition("for rules.yaml:")[2]
    assert yaml.safe_load(rules)["defaults"]["max_error"] > 0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@needs_tools
def test_every_route_of_our_own_has_an_example(proxy: Proxy) -> None:
    page = (DOCS / "management.md").read_text("utf-8")
    examples = "\n".join(text for language, text in blocks("management.md") if language == "sh")
    for path, operations in proxy.get("/openapi.json")["paths"].items():
        for method, operation in operations.items():
            if not OWN_TAGS.intersection(operation.get("tags", ())):
                continue
            assert f"`{method.upper()} {path}`" in page, f"{method.upper()} {path} is not explained"
            called = re.escape(path).replace(r"\{key\}", r"\$KEY")
            assert re.search(rf"127\.0\.0\.1:8080{called}[ \"'?\n]", examples), f"{path} has no example"


def test_every_bypass_is_explained() -> None:
    page = (DOCS / "headers.md").read_text("utf-8")
    package = REPOSITORY / "addon" / "askonce"
    sources = [file.read_text("utf-8") for room in ("calls", "proxy") for file in (package / room).glob("*.py")]
    reasons = {reason for text in sources for reason in re.findall(r'bypass ?= ?"(\w[\w -]*)"', text)}
    assert {"unreadable", "no-store"} <= reasons
    for reason in reasons:
        assert f"detail={reason}`" in page, reason


PUBLIC_KEY = (
    rsa.generate_private_key(65537, 2048)
    .public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)


def test_every_yaml_example_is_accepted() -> None:
    examples = [
        (file.name, text) for file in DOCS.glob("*.md") for language, text in blocks(file.name) if language == "yaml"
    ]
    assert examples
    for file, text in examples:
        value = yaml.safe_load(text)
        assert value, file
        if "upstreams" in value:
            Config.parse(text, file, environ={})
        if "products" in value:
            rule = "{name: chat, hosts: [api.openai.com], paths: [/v1/chat/completions], wire: openai-chat}"
            environ = {name: f"{name:x<32}" for name in re.findall(r"\$\{(\w+)\}", text)} | {
                "CACHECORE_KEY": PUBLIC_KEY
            }
            Config.parse(f"version: 1\nupstreams: [{rule}]\n{text}", file, environ=environ)


def test_links_between_pages_lead_somewhere() -> None:
    for file in [*DOCS.glob("*.md"), REPOSITORY / "README.md"]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", file.read_text("utf-8")):
            if "://" not in target:
                assert (file.parent / target).exists(), f"{file.name}: {target}"
