"""Askonce in mitmproxy's own tools: `askonce web`, and the addon as a script of mitmdump."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.support.waiting import PATIENCE, until

if TYPE_CHECKING:
    from tests.e2e.conftest import Provider, Proxy, StartProxy

REPOSITORY = Path(__file__).parents[2]
URL = "https://api.openai.com/v1/chat/completions"
FRANCE = "What is the capital of France?"
KEPT = 500


def body(question: str) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": question}]}


def app(url: str, bundle: Path) -> httpx.Client:
    context = ssl.create_default_context(cafile=str(bundle))
    headers = {"authorization": "Bearer sk-test"}
    return httpx.Client(proxy=url, verify=context, headers=headers, trust_env=False, timeout=PATIENCE)


@pytest.fixture(scope="module")
def web(start_module_proxy: StartProxy, unused_port: int) -> Proxy:
    return start_module_proxy(command="web", arguments=["--web-port", str(unused_port)])


@pytest.fixture(scope="module")
def unused_port() -> int:
    return free_port()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def client(web: Proxy, provider: Provider) -> Iterator[httpx.Client]:
    with app(web.url, web.bundle) as client:
        yield client


@pytest.fixture
def mitmweb(web: Proxy, unused_port: int) -> Iterator[httpx.Client]:
    """mitmweb's own API, with the token that it printed."""
    found = re.search(rf"mitmweb: http://127\.0\.0\.1:{unused_port}/\?token=(\w+)", web.log())
    assert found
    headers = {"authorization": f"Bearer {found[1]}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{unused_port}", headers=headers, trust_env=False) as client:
        yield client


def test_it_shows_each_decision_and_the_conversation(
    client: httpx.Client, web: Proxy, mitmweb: httpx.Client, provider: Provider
) -> None:
    for question in (FRANCE, FRANCE, "Tell me what the capital of France is.", "What is the capital of Germany?"):
        client.post(URL, json=body(question)).raise_for_status()
    assert provider.calls() == 2
    assert httpx.get(f"{web.url}/health/ready", trust_env=False).is_success
    assert "comment" in mitmweb.get("/options").json()["web_columns"]["value"]
    assert web.port not in {flow["request"]["port"] for flow in mitmweb.get("/flows").json()}
    flows = [flow for flow in mitmweb.get("/flows").json() if flow["request"]["host"] == "api.openai.com"]
    assert [flow["comment"].split()[0] for flow in flows] == ["MISS", "EXACT", "SEMANTIC", "MISS"]
    assert [flow["marked"] for flow in flows] == ["", "⚡", "✨", ""]
    views = [mitmweb.get(f"/flows/{flow['id']}/request/content/Auto.json").raise_for_status().json() for flow in flows]
    assert {view["view_name"] for view in views} == {"Askonce"}
    exact, german = views[1]["text"].splitlines(), views[3]["text"].splitlines()
    assert exact[0] == 'decision: "exact"'
    assert f"nearest prompt: {json.dumps(FRANCE)}" in exact
    assert exact[-2:] == ["conversation:", f"  - user: {json.dumps(FRANCE)}"]
    assert german[0] == 'decision: "miss"'
    assert any(line.startswith("why: ") for line in german)


def test_it_asks_for_its_token(mitmweb: httpx.Client) -> None:
    assert httpx.get(f"{mitmweb.base_url}/flows", trust_env=False).status_code == 403


def test_its_list_stays_short(client: httpx.Client, mitmweb: httpx.Client) -> None:
    for _ in range(KEPT + 20):
        client.post(URL, json=body(FRANCE)).raise_for_status()
    assert len(mitmweb.get("/flows").json()) == KEPT


def test_the_addon_is_a_script_of_mitmdump(proxy: Proxy, provider: Provider, tmp_path: Path) -> None:
    mitmdump = Path(sys.executable).with_name("mitmdump")
    assert shutil.which(mitmdump)
    options = {
        "confdir": proxy.certs,
        "ssl_verify_upstream_trusted_ca": provider.ca_file,
        "upstream_cert": "false",
        "listen_host": "127.0.0.1",
        "listen_port": (port := free_port()),
    }
    command = [str(mitmdump), "-q", "-s", str(REPOSITORY / "addon" / "askonce" / "proxy" / "script.py")]
    command += [part for name, value in options.items() for part in ("--set", f"{name}={value}")]
    environment = proxy.environment | {"ASKONCE_DATA": str(tmp_path / "data")}
    log = tmp_path / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=environment)
    url = f"http://127.0.0.1:{port}"
    try:

        def is_ready() -> bool:
            assert process.poll() is None, log.read_text()
            with contextlib.suppress(httpx.TransportError):
                return httpx.get(f"{url}/health/ready", trust_env=False, timeout=PATIENCE).is_success
            return False

        until(is_ready)
        with app(url, proxy.bundle) as client:
            for _ in range(2):
                answer = client.post(URL, json=body(FRANCE))
        assert answer.headers["cache-status"].endswith("detail=exact")
        assert provider.calls() == 1
    finally:
        process.terminate()
        code = process.wait(PATIENCE)
    assert (code, "rror" in log.read_text()) == (0, False), log.read_text()
