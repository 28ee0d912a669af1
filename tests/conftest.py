"""What holds for every test: where its chance comes from, and that nothing that it started outlives the run.

`--seed N` (or ASKONCE_TEST_SEED) gives `random` and hypothesis the chance of another run, test by test, in whatever
order and number they run; the header and the summary of a failed run name it.
"""

from __future__ import annotations

import contextlib
import os
import random
import secrets
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import hypothesis
import pytest
from httpx._config import DEFAULT_TIMEOUT_CONFIG
from tests.support.plain import IS_PLAIN
from tests.support.processes import Left, answer_for_all, descendants, kill
from tests.support.waiting import PATIENCE, Followed, until, until_so

from askonce.calls.single_flight import Flights

if TYPE_CHECKING:
    from tests.support.postgres import Postgres

    from askonce.cache.store import SharedPlace

HERE = Path(__file__).parent
_LEFT = pytest.StashKey[list[str]]()
GRACE = min(5.0, PATIENCE)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, help="repeat the chance of another run (ASKONCE_TEST_SEED)")
    parser.addoption("--clients", action="store_true", help="ask through real coding agents, and run nothing else")
    parser.addoption("--pictures", action="store_true", help="make the pictures of the page in docs/img anew")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Hundreds of megabytes of agents are installed only for those who ask for them."""
    is_suite = collection_path.parent == HERE and collection_path.is_dir()
    return (is_suite and (collection_path.name == "clients") != config.option.clients) or None


@pytest.hookimpl(tryfirst=True)  # before hypothesis looks for its own seed
def pytest_configure(config: pytest.Config) -> None:
    if config.option.seed is None:
        config.option.seed = int(os.environ.get("ASKONCE_TEST_SEED") or secrets.randbelow(2**32))
    os.environ["ASKONCE_TEST_SEED"] = str(config.option.seed)  # for the processes of pytest-xdist
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(config.option.seed)
    # How fast examples are made, and how soon a proxy answers (httpx waits 5 s), is the machine's affair.
    for wait in ("connect", "read", "write", "pool"):
        setattr(DEFAULT_TIMEOUT_CONFIG, wait, PATIENCE)
    hypothesis.settings.register_profile(
        "askonce", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("askonce")
    config.stash[_LEFT] = []
    answer_for_all()


def pytest_report_header(config: pytest.Config) -> str:
    ways = "as it is" if IS_PLAIN else "with our shorter ways"
    return f"seed: {config.option.seed}; mitmproxy {version('mitmproxy')} {ways}"


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> str:
    """What this test's chance begins with: of the run and the test, so that each is repeated by itself."""
    return f"{request.config.option.seed} {request.node.nodeid}"


@pytest.fixture(autouse=True)
def _seeded(seed: str) -> None:
    random.seed(seed)


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> Followed:
    """Wait until so many calls wait for another that is the same."""
    follow, waiting = Flights.follow, list[bytes]()

    async def counted(flights: Flights, key: bytes, *more: Any) -> Any:
        waiting.append(key)
        return await follow(flights, key, *more)

    monkeypatch.setattr(Flights, "follow", counted)
    return lambda count: until_so(lambda: count if len(waiting) >= count else 0)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all tests of a process that need one."""
    from tests.support.postgres import running

    with running() as server:
        yield server


@pytest.fixture
def place(postgres: Postgres) -> Iterator[SharedPlace]:
    """A part of it for this test alone."""
    place = postgres.place()
    yield place
    postgres.drop(place)
    postgres.drop(place.beside("named_stores"))


@pytest.fixture
def kept_at(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> SharedPlace | None:
    """Where a test's answers are: in its folder (None) or, for one that is marked `both_stores`, also in a database."""
    if getattr(request, "param", "embedded") == "embedded":
        return None
    from tests.support.stores import be_patient

    be_patient(monkeypatch)
    return cast("SharedPlace", request.getfixturevalue("place"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker("both_stores"):
        metafunc.parametrize("kept_at", ["embedded", "shared"], indirect=True)


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _is_controller(config: pytest.Config) -> bool:
    return bool(getattr(config.option, "numprocesses", None)) and not _is_worker(config)


@pytest.hookimpl(tryfirst=True)  # pytest-xdist's worker sends what it has to say in its own
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that leaves a process behind, and end that process."""
    config = session.config
    if not _is_controller(config):
        config.stash[_LEFT] = [str(left) for left in _left_running()]
    if _is_worker(config):
        config.workeroutput["left"] = config.stash[_LEFT]  # type: ignore[attr-defined]
    if config.stash[_LEFT] and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker of pytest-xdist has ended."""
    node.config.stash[_LEFT] += getattr(node, "workeroutput", {}).get("left", [])


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int, config: pytest.Config) -> None:
    if left := config.stash[_LEFT]:
        terminalreporter.section("left running", red=True)
        for process in left:
            terminalreporter.line(process)
    if exitstatus:
        terminalreporter.line(f"the same chance again: --seed {config.option.seed}")


def _left_running() -> list[Left]:
    with contextlib.suppress(AssertionError):
        until(lambda: not descendants(), seconds=GRACE)  # what was told to end may be at its last step
    left = descendants()
    kill(left[::-1])
    return left
