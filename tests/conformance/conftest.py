"""The apps that the conformance tests ask through: child processes with the environment that `askonce exec` gives.

One rule: an app's environment is made by the tests from pinned versions into folders that git ignores; where that
cannot be done (no npm, no network), the tests that need it are skipped and say so.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.e2e.conftest import (  # noqa: F401  # fixtures
    FOREIGN,
    PROVIDER_HOSTS,
    REPOSITORY,
    Provider,
    Proxy,
    StartProxy,
    _clean_environment,
    _provider,
    _proxy,
    _starter,
    api_key,
    check_log,
    provider,
    pytest_runtest_makereport,
    routes,
    start_proxy,
)
from tests.support.waiting import PATIENCE

from askonce.exec import child
from askonce.products.document import Config
from askonce.rules import Rules

HERE = Path(__file__).parent
INSTALL_SECONDS = 100


if TYPE_CHECKING:
    from tests.support.postgres import Postgres


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Of one that is not marked `both_stores`, whose fixtures are those of the ones that are."""
    if "kept_at" in metafunc.fixturenames and not metafunc.definition.get_closest_marker("both_stores"):
        metafunc.parametrize("kept_at", ["embedded"], indirect=True)


@pytest.fixture(scope="module")
def kept_at(request: pytest.FixtureRequest) -> Postgres | None:
    """Where the proxies of a module have their answers; None for their own folders."""
    return None if request.param == "embedded" else request.getfixturevalue("postgres")


def on(postgres: Postgres, rules: Path, folder: Path) -> Path:
    """The same rules, with answers there."""
    config, place = yaml.safe_load(rules.read_text("utf-8")), postgres.place()
    config["cache"] = config.get("cache", {}) | {"url": place.url, "database_schema": place.schema}
    file = folder / "rules.yaml"
    file.write_text(json.dumps(config), "utf-8")
    return file


@pytest.fixture(scope="module")
def start_module_proxy(
    kept_at: Postgres | None,
    _provider: Provider,  # noqa: F811
    routes: dict[str, int],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[StartProxy]:
    """Proxies that the tests of one module share; see StartProxy."""
    with _starter(_provider, routes, tmp_path_factory) as start:

        def start_there(*, rules: Path = REPOSITORY / "rules.yaml", **options: Any) -> Proxy:
            if kept_at:
                rules = on(kept_at, rules, tmp_path_factory.mktemp("shared"))
            proxy = start(rules=rules, **options)
            proxy.load_api()
            return proxy

        yield start_there


@pytest.fixture(scope="session")
def _proxy_on_postgres(
    _provider: Provider,  # noqa: F811
    postgres: Postgres,
    routes: dict[str, int],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("shared")
    shipped = (REPOSITORY / "rules.yaml").read_text("utf-8").replace("\ndefaults:\n", "\ndefaults:\n  audit: 0\n")
    (folder / "shipped.yaml").write_text(shipped, "utf-8")
    with _starter(_provider, routes, tmp_path_factory) as start:
        yield start(rules=on(postgres, folder / "shipped.yaml", folder))


@pytest.fixture
def proxy(
    kept_at: Postgres | None,
    request: pytest.FixtureRequest,
    provider: Provider,  # noqa: F811
) -> Iterator[Proxy]:
    """The session's proxy; the test fails if its log shows a crash."""
    shared: Proxy = request.getfixturevalue("_proxy_on_postgres" if kept_at else "_proxy")
    shared.load_api()
    seen = len(shared.log())
    yield shared
    check_log(shared.log()[seen:])


class App:
    """A program that asks providers; see apps/protocol.py."""

    def __init__(self, command: Sequence[str | Path], environment: dict[str, str], log: Path) -> None:
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
            )

    def ask(self, **ask: Any) -> dict[str, Any]:
        """The answer to a line of the protocol."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(ask) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the app ended:\n{self._log.read_text()[-5000:]}"
        said: dict[str, Any] = json.loads(line)
        if said.get("error", {}).get("status") == 0:
            pytest.fail(f"{said['error']}\n{self._log.read_text()[-5000:]}")
        return said

    def close(self) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait(PATIENCE)
        self._process.stdout.close()


def python() -> list[str | Path]:
    return [sys.executable, HERE / "apps" / "python_sdks.py"]


def other_python() -> list[str | Path]:
    return [_environment(".venv-apps", "requirements.txt"), HERE / "apps" / "venv_sdks.py"]


def older_python() -> list[str | Path]:
    return [_environment(".venv-older", "requirements-older.txt"), HERE / "apps" / "openai_anthropic.py"]


def _environment(name: str, requirements_file: str) -> Path:
    """The interpreter of an environment that holds what a file in apps/ asks for."""
    folder, requirements = REPOSITORY / name, HERE / "apps" / requirements_file
    interpreter = folder / "bin" / "python"
    made: list[str | Path] = [sys.executable, "-m", "venv", "--clear", folder]
    install: list[str | Path] = [interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if uv := shutil.which("uv"):
        made = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder]
        install = [uv, "pip", "install", "--quiet", "--python", interpreter]
    _installed(folder, requirements, made, [*install, "-r", requirements])
    return interpreter


def node_of_the_machine() -> list[str | Path]:
    if not (node := shutil.which("node")):
        pytest.skip("there is no Node.js on this machine")
    _node_modules()
    return [node, HERE / "node" / "app.mjs"]


def node_of_npm() -> list[str | Path]:
    return [_node_modules() / "node" / "bin" / "node", HERE / "node" / "app.mjs", "-newest"]


def _node_modules() -> Path:
    if not (npm := shutil.which("npm")):
        pytest.skip("there is no npm on this machine")
    folder = HERE / "node" / "node_modules"
    install: list[str | Path] = [
        npm,
        "install",
        "--prefix",
        folder.parent,
        "--no-package-lock",
        "--no-audit",
        "--no-fund",
        "--silent",
    ]
    _installed(folder, folder.parent / "package.json", install)
    return folder


def _installed(folder: Path, wanted: Path, *commands: Sequence[str | Path]) -> None:
    """Run the commands that fill a folder, unless it was filled for the same wants."""
    folder.mkdir(exist_ok=True)
    locks = Path(tempfile.gettempdir())
    stamp, digest = folder / "askonce-stamp", hashlib.sha256(wanted.read_bytes() + sys.version.encode()).hexdigest()
    with (locks / f"askonce{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == digest:
            return
        for command in commands:
            try:
                subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
            except subprocess.CalledProcessError as error:
                pytest.skip(f"{wanted.name} could not be installed: {error.stderr[-1000:]}")
            except subprocess.TimeoutExpired:
                pytest.skip(f"{wanted.name} could not be installed within {INSTALL_SECONDS} s")
        stamp.write_text(digest)


APPS: dict[str, Callable[[], list[str | Path]]] = {
    "python": python,
    "venv": other_python,
    "older": older_python,
    "node": node_of_the_machine,
    "node-of-npm": node_of_npm,
}


@pytest.fixture(scope="session")
def _local_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    provider = Provider(tmp_path_factory.mktemp("local"), None)  # noqa: F811
    yield provider
    provider.stop()


@pytest.fixture
def local_provider(_local_provider: Provider) -> Provider:
    """The sample provider as Ollama is: on this machine, without TLS, at http://127.0.0.1:11434."""
    _local_provider.wait_until_ready()
    _local_provider.reset()
    return _local_provider


@pytest.fixture(scope="session")
def routes(_provider: Provider, _local_provider: Provider) -> dict[str, int]:  # noqa: F811
    """Where each name leads, as e2e/route/sitecustomize.py reads it."""
    local = dict.fromkeys(("127.0.0.1:11434", "localhost:11434"), _local_provider.port)
    return {f"{host}:443": _provider.port for host in (*PROVIDER_HOSTS, FOREIGN)} | local


@pytest.fixture(scope="session")
def apps(_proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], App]]:  # noqa: F811
    """apps(name) -> the running app of that name."""
    ca_cert, base = _proxy.certs / "mitmproxy-ca-cert.pem", _clean_environment()
    hosts = Rules(Config.load(_proxy.rules)).every_host()
    environment = base | child.environment(_proxy.url, _proxy.bundle, ca_cert, base, hosts=hosts)
    running: dict[str, App] = {}
    missing: dict[str, str] = {}
    with contextlib.ExitStack() as stack:

        def app(name: str) -> App:
            if name in missing:
                pytest.skip(missing[name])
            if name not in running:
                try:
                    command = APPS[name]()
                except pytest.skip.Exception as skipped:
                    missing[name] = str(skipped)
                    raise
                running[name] = App(command, environment, tmp_path_factory.mktemp("app") / f"{name}.log")
                stack.callback(running[name].close)
            return running[name]

        yield app
