"""The end-to-end harness: real SDKs -> a real Askonce process -> the sample provider, over TLS on loopback.

One rule: nothing that is tested is replaced. Provider names reach the sample provider below the proxy's sockets (see
route/sitecustomize.py), its certificate is from a CA that the proxy is told to trust, and what a test asserts about
the provider, the provider itself has counted.

The provider and one proxy serve the whole session; `provider` starts every test with clean counters, `api_key` gives
every test a partition of its own. A test that needs its own rules, data or life of the process uses `start_proxy`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from tests.support.processes import end
from tests.support.waiting import PATIENCE, until

REPOSITORY = Path(__file__).parents[2]
FOREIGN = "foreign.example"
"""A host that no rule names."""
PROVIDER_HOSTS = (
    "api.openai.com",
    "sample.openai.azure.com",
    "api.mistral.ai",
    "api.groq.com",
    "api.deepseek.com",
    "api.x.ai",
    "api.together.xyz",
    "api.fireworks.ai",
    "openrouter.ai",
    "api.perplexity.ai",
    "api.cerebras.ai",
    "api.anthropic.com",
    "generativelanguage.googleapis.com",
    "aiplatform.googleapis.com",
    "us-central1-aiplatform.googleapis.com",
    "bedrock-runtime.us-east-1.amazonaws.com",
    "api.cohere.com",
    "ollama.com",
)
SIGNS_OF_A_CRASH = ("has crashed", "Addon error", "Traceback")
PROXY_VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy", "ALL_PROXY", "all_proxy")
TRUST_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
NO_PROXY_VARIABLES = ("NO_PROXY", "no_proxy")


_REACHED = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}
"""Where a proxy is reached that listens everywhere."""


class Provider:
    """The sample provider as a process. Every method asks its control API, which it does not count."""

    def __init__(
        self, folder: Path, ca: trustme.CA | None, *, first_token: float = 0.0, per_token: float = 0.0
    ) -> None:
        self.port = free_port()
        self.url = f"{'https' if ca else 'http'}://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "askonce.sample", "--port", str(self.port)]
        command += ["--first-token", str(first_token), "--per-token", str(per_token)]
        self.ca_file = folder / "provider-ca.pem"
        self.certificate = b""
        """Its own certificate, DER; empty where it speaks plain HTTP."""
        if ca:
            leaf = ca.issue_cert(*PROVIDER_HOSTS, FOREIGN, "localhost", "127.0.0.1")
            leaf.private_key_pem.write_to_path(folder / "provider.key")
            leaf.cert_chain_pems[0].write_to_path(folder / "provider.pem")
            ca.cert_pem.write_to_path(self.ca_file)
            command += ["--cert", str(folder / "provider.pem"), "--key", str(folder / "provider.key")]
            self.certificate = ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_clean_environment())
        verify = ssl.create_default_context(cafile=str(self.ca_file)) if ca else True
        self._control = httpx.Client(base_url=f"{self.url}/__sample/", verify=verify, trust_env=False, timeout=PATIENCE)

    def wait_until_ready(self) -> None:
        """Return once it accepts connections: when it has printed its address."""
        assert self.process.stdout
        if not self.process.stdout.closed:
            line = self.process.stdout.readline().strip()
            assert line == self.url, f"the sample provider did not start: exit code {self.process.wait()}"
            self.process.stdout.close()

    def stats(self) -> dict[str, Any]:
        """calls, connections, left, scripts_left, paths, last, requests: see `askonce.sample.control`."""
        return dict(self._control.get("stats").raise_for_status().json())

    def calls(self) -> int:
        """Calls since the test began."""
        return int(self.stats()["calls"])

    def connections(self) -> int:
        """TCP connections opened since the test began."""
        return int(self.stats()["connections"])

    def last(self) -> dict[str, Any]:
        """The last call: method, host, path, query, headers, body."""
        last: dict[str, Any] | None = self.stats()["last"]
        assert last, "the provider was not called"
        return last

    def script(
        self,
        *chunks: str | bytes | tuple[float, str],
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        abort: bool = False,
        content_encoding: str = "",
        held: bool = False,
    ) -> None:
        """Queue one exact response. A chunk is text, bytes, or (seconds to wait before it, text); `held`: each waits
        until `release` lets it go."""
        body: dict[str, Any] = {"status": status, "abort": abort, "content_encoding": content_encoding}
        body["headers"] = dict(headers or {"content-type": "application/json"})
        body["chunks"] = [_chunk(chunk) | {"held": held} for chunk in chunks]
        self._control.post("script", json=body).raise_for_status()

    def set(self, **settings: float | str | bool) -> None:
        """first_token, per_token (seconds), content_encoding (gzip, br, zstd), is_held, for the rest of the test."""
        self._control.post("settings", json=settings).raise_for_status()

    def release(self, chunks: int) -> None:
        """Let so many held chunks go, in the order in which they came to wait."""
        self._control.post("release", json={"chunks": chunks}).raise_for_status()

    def reset(self) -> None:
        """Forget calls, scripts and settings."""
        self._control.post("reset", json={}).raise_for_status()

    def stop(self) -> None:
        self._control.close()
        end(self.process)
        if self.process.stdout:
            self.process.stdout.close()  # where nobody waited until it was ready


class Proxy:
    """An Askonce process. It may be stopped, killed and started again on the same port and data."""

    def __init__(
        self,
        folder: Path,
        routes: Mapping[str, int],
        upstream_ca: Path,
        *,
        command: str = "serve",
        listen: str = "127.0.0.1",
        rules: Path | None = None,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.port = free_port()
        self.url = f"http://{_REACHED.get(listen, listen)}:{self.port}"
        self.data, self.certs, self.rules = folder / "data", folder / "certs", rules or folder / "rules.yaml"
        self.rules.write_text(patient((rules or REPOSITORY / "rules.yaml").read_text("utf-8")), "utf-8")
        self.bundle = self.certs / "askonce-bundle.pem"
        self.log_file = folder / "askonce.log"
        self._command = [sys.executable, "-m", "askonce", command, "--listen", f"{listen}:{self.port}"]
        self._command += ["--rules", str(self.rules), "--data", str(self.data), *arguments]
        self.environment = _clean_environment() | {
            "ASKONCE_CERTS": str(self.certs),
            "ASKONCE_UPSTREAM_CA": str(upstream_ca),
            "ASKONCE_TEST_ROUTES": json.dumps(dict(routes)),
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent / "route"), *_python_path()]),
            **(environment or {}),
        }
        token = self.environment.get("ASKONCE_TOKEN")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._manage = httpx.Client(base_url=self.url, headers=headers, trust_env=False, timeout=PATIENCE)
        self.process: subprocess.Popen[bytes]
        self.launch()

    def launch(self) -> None:
        """Start the process without waiting for it."""
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log, env=self.environment)

    def wait_until_ready(self) -> None:
        """Return once it answers `/health/ready`."""

        def answers() -> bool:
            assert self.process.poll() is None, f"askonce ended with {self.process.returncode}:\n{self.log()}"
            with contextlib.suppress(httpx.TransportError):
                return self._manage.get("/health/ready").is_success
            return False

        until(answers, "askonce was never ready")
        assert self.bundle.is_file(), f"ready, but there is no {self.bundle}"

    def load_api(self, path: str = "/v1/stats") -> None:
        """Have the management API made, which is when it is first asked: on a busy machine that takes longer than the
        five or ten seconds for which SDKs and schemathesis wait. What it says does not matter, it may want a token."""
        self._manage.get(path)

    def get(self, path: str) -> Any:
        """A JSON document of the management API, on the proxy's own port."""
        return self._manage.get(path).raise_for_status().json()

    def settle(self) -> None:
        """Wait until no call is in flight: those that were answered are counted, and stored where they are to be."""
        self.until_in_flight(0)

    def until_in_flight(self, calls: int) -> None:
        """Wait until so many calls have come in and are not over."""
        until(lambda: self.get("/v1/stats")["in_flight"] == calls, f"there were never {calls} calls in flight")

    def log(self) -> str:
        """What it has written to stdout and stderr."""
        return self.log_file.read_text("utf-8", "replace")

    def stop(self) -> None:
        """Ask it to stop; it must end with exit code 0."""
        code = end(self.process)
        assert code == 0, f"askonce ended with {code}:\n{self.log()}"

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """Stop it and start it again on the same port and data."""
        if self.process.poll() is None:
            self.stop()
        self.launch()
        self.wait_until_ready()

    def close(self) -> None:
        """Stop it if it still runs, and make sure that it never crashed."""
        self._manage.close()
        if self.process.poll() is None:
            self.stop()
        check_log(self.log())


def check_log(text: str) -> None:
    """Fail the test where a log shows an unhandled error."""
    if found := [line for line in text.splitlines() if any(sign in line for sign in SIGNS_OF_A_CRASH)]:
        pytest.fail("the proxy's log shows a crash:\n" + "\n".join(found) + "\n\n" + text)


def patient(rules: str) -> str:
    """Rules with a look-up that may take its time: on a busy machine, 50 ms are over before it had a processor."""
    if "lookup_deadline" in rules:
        return rules
    if rules.startswith("{"):  # JSON, which is YAML on one line
        config = json.loads(rules)
        return json.dumps(config | {"cache": config.get("cache", {}) | {"lookup_deadline": "300s"}})
    if "\ncache: {" in rules:
        return rules.replace("\ncache: {", "\ncache: {lookup_deadline: 300s, ")
    return rules + "\ncache: {lookup_deadline: 300s}\n"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def _provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    provider = Provider(tmp_path_factory.mktemp("provider"), trustme.CA())
    yield provider
    provider.stop()


@pytest.fixture(scope="session")
def routes(_provider: Provider) -> dict[str, int]:
    """Where each name leads, as route/sitecustomize.py reads it."""
    return {f"{host}:443": _provider.port for host in (*PROVIDER_HOSTS, FOREIGN)}


@pytest.fixture(scope="session")
def _proxy(_provider: Provider, routes: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("askonce")
    shipped = (REPOSITORY / "rules.yaml").read_text("utf-8")
    rules = folder / "rules.yaml"  # without checks: every hundredth semantic hit would be one, and count as a call
    shipped = shipped.replace("\ndefaults:\n", "\ndefaults:\n  audit: 0\n")
    rules.write_text(shipped, "utf-8")
    proxy = Proxy(folder, routes, _provider.ca_file, rules=rules)
    try:
        _provider.wait_until_ready()
        proxy.wait_until_ready()
        yield proxy
    finally:
        proxy.close()


@pytest.fixture
def provider(_provider: Provider) -> Provider:
    """The sample provider, its counters at zero."""
    _provider.wait_until_ready()
    _provider.reset()
    return _provider


@pytest.fixture
def local_provider(tmp_path: Path) -> Iterator[Provider]:
    """The sample provider as Ollama is: without TLS, on this machine."""
    provider = Provider(tmp_path, None)
    try:
        provider.wait_until_ready()
        yield provider
    finally:
        provider.stop()


@pytest.fixture
def proxy(_proxy: Proxy, provider: Provider) -> Iterator[Proxy]:
    """The session's proxy; the test fails if its log shows a crash."""
    seen = len(_proxy.log())
    yield _proxy
    check_log(_proxy.log()[seen:])


type StartProxy = Callable[..., Proxy]
"""start_proxy(command="web", rules=PATH, arguments=[...], environment={...}) -> a proxy with empty data, ready."""


@contextlib.contextmanager
def _starter(provider: Provider, routes: dict[str, int], folders: pytest.TempPathFactory) -> Iterator[StartProxy]:
    with contextlib.ExitStack() as stack:

        def start(**options: Any) -> Proxy:
            provider.wait_until_ready()
            proxy = Proxy(folders.mktemp("askonce"), routes, provider.ca_file, **options)
            stack.callback(proxy.close)
            proxy.wait_until_ready()
            return proxy

        yield start


@pytest.fixture
def start_proxy(
    provider: Provider, routes: dict[str, int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartProxy]:
    """Proxies of the test's own; see StartProxy."""
    with _starter(provider, routes, tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="module")
def start_module_proxy(
    _provider: Provider, routes: dict[str, int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartProxy]:
    """Proxies that the tests of one module share; see StartProxy."""
    with _starter(_provider, routes, tmp_path_factory) as start:
        yield start


@pytest.fixture
def api_key() -> str:
    """A key that no other test uses, and so a partition that no other test has filled."""
    return f"sk-test-{uuid.uuid4().hex}"


@pytest.fixture
def app_env(proxy: Proxy, api_key: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What an app needs to run behind the proxy. Set in this process too, so that SDKs pick it up by themselves."""
    environment = app_environment(proxy, api_key)
    for name in (*PROXY_VARIABLES, *NO_PROXY_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment


def app_environment(proxy: Proxy, api_key: str) -> dict[str, str]:
    """The variables that put an app behind a proxy, and give it a key for every provider."""
    keys = ("OPENAI", "ANTHROPIC", "GEMINI", "CO", "MISTRAL", "OLLAMA")
    return (
        dict.fromkeys(PROXY_VARIABLES, proxy.url)
        | dict.fromkeys(TRUST_VARIABLES, str(proxy.bundle))
        | {f"{name}_API_KEY": api_key for name in keys}
        | {"NODE_USE_ENV_PROXY": "1"}
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Attach the proxy's log to a failure."""
    report: Any = yield
    if report.failed:
        values = getattr(item, "funcargs", {}).values()
        for proxy in {value for value in values if isinstance(value, Proxy)}:
            report.sections.append(("askonce log", proxy.log()[-20_000:]))
    return report


def _chunk(chunk: str | bytes | tuple[float, str]) -> dict[str, Any]:
    match chunk:
        case str():
            return {"data": chunk}
        case bytes():
            return {"base64": base64.b64encode(chunk).decode()}
    return {"delay": chunk[0], "data": chunk[1]}


def _python_path() -> list[str]:
    return [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]


def _clean_environment() -> dict[str, str]:
    """This process's environment without anything that leads elsewhere, trusts anyone else or tells anyone.

    ASKONCE_PLAIN stays: with it the whole suite runs beside mitmproxy as it is.
    """
    drop = {*PROXY_VARIABLES, *TRUST_VARIABLES, *NO_PROXY_VARIABLES}
    drop |= {name for name in os.environ if name.startswith(("ASKONCE_", "OTEL_")) and name != "ASKONCE_PLAIN"}
    return {name: value for name, value in os.environ.items() if name not in drop}
