"""One proxy of two processes: each takes calls, and what is asked of the proxy is answered for both."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest
from tests.shared.trials import FRANCE, App, apps, rules_for
from tests.support.processes import end
from tests.support.waiting import PATIENCE, until

if TYPE_CHECKING:
    from tests.e2e.conftest import Provider, Proxy, StartProxy
    from tests.support.postgres import Postgres


@pytest.fixture(scope="module")
def pair(
    start_module_proxy: StartProxy, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    file = tmp_path_factory.mktemp("rules") / "rules.yaml"
    file.write_text(rules_for(postgres.place()))
    proxy = start_module_proxy(rules=file, arguments=("--workers", "2"))
    until(lambda: len(set(serving(proxy))) == 2)
    yield proxy
    proxy.close()  # before the server stops


@pytest.fixture(autouse=True)
def _provider_at_its_pace(provider: Provider) -> None:
    """As no test left it."""


@pytest.fixture
def app(pair: Proxy) -> Iterator[App]:
    with apps(pair) as (one,):
        yield one


def workers(proxy: Proxy) -> list[psutil.Process]:
    return psutil.Process(proxy.process.pid).children()


def serving(proxy: Proxy) -> list[int]:
    """The processes that answer at the proxy's port, of twenty that connect."""
    found = re.compile(r"^process_start_time_seconds (\S+)$", re.MULTILINE)
    told = []
    for _ in range(20):
        try:
            text = httpx.get(f"{proxy.url}/metrics", trust_env=False, timeout=PATIENCE).text
        except httpx.TransportError:
            return []
        told += [int(float(start) * 100) for start in found.findall(text)]
    return told


def ask_anew(proxy: Proxy, key: str, question: str) -> httpx.Response:
    """By a connection of its own, which any of the workers may get."""
    with apps(proxy) as (app,):
        return app.ask(key, question)


def test_what_workers_have_in_common_is_in_memory_once(pair: Proxy, api_key: str) -> None:
    """Each has for itself a part of what a proxy takes, its memory with what it shares: at rest, and where answers are
    kept, for which the deep judge is loaded."""
    for worker in workers(pair):
        taken = worker.memory_full_info()
        assert taken.uss < 0.6 * taken.rss, taken
    for number in range(20):
        ask_anew(pair, api_key, f"What is the name of the river beside town number {number}?")
    pair.settle()
    for worker in workers(pair):
        taken, loaded = worker.memory_full_info(), {Path(file.path).parent.parent.name for file in worker.memory_maps()}
        assert "onnxruntime" in loaded
        assert taken.uss < 0.35 * taken.rss, taken


def test_calls_at_all_workers_are_counted_in_one_place(pair: Proxy, provider: Provider, api_key: str) -> None:
    before = pair.get("/v1/stats")["calls"]
    answers = [ask_anew(pair, api_key, FRANCE) for _ in range(20)]
    assert [answer.status_code for answer in answers] == [200] * 20 and provider.calls() == 1
    pair.settle()
    for _ in range(8):  # whichever is asked
        metrics = httpx.get(f"{pair.url}/metrics", trust_env=False, timeout=PATIENCE).text
        calls = re.findall(r"^askonce_requests_total\{.*\} (\S+)$", metrics, re.MULTILINE)
        assert sum(map(float, calls)) == before + 20
        stats = httpx.get(f"{pair.url}/v1/stats", trust_env=False, timeout=PATIENCE).json()
        assert stats["calls"] == before + 20 and len(stats["latest"]) == min(50, before + 20)


def test_identical_calls_at_all_workers_ask_the_provider_once(pair: Proxy, provider: Provider, api_key: str) -> None:
    provider.set(is_held=True)
    with ThreadPoolExecutor(20) as threads:
        asked = [threads.submit(ask_anew, pair, api_key, FRANCE) for _ in range(20)]
        pair.until_in_flight(20)
        provider.release(1)
        assert all(one.result().status_code == 200 for one in asked)
    assert provider.calls() == 1


def test_what_is_deleted_no_worker_serves(pair: Proxy, app: App, api_key: str) -> None:
    for number in range(10):
        question = f"What is {number} plus 1?"
        ask_anew(pair, api_key, question)
        found = until(lambda question=question: app.cached(api_key, question))  # type: ignore[misc]
        assert app.delete(found.headers["x-cache-key"])
        with apps(*[pair] * 4) as several:
            assert not any(one.cached(api_key, question) for one in several)


def test_new_rules_reach_all_workers(pair: Proxy, api_key: str) -> None:
    rules = pair.rules.read_text()
    taken_up = pair.log().count("rules reloaded")
    pair.rules.write_text(rules.replace("wire: openai-chat", "wire: openai-chat, match: exact"))
    until(lambda: pair.log().count("rules reloaded") >= taken_up + 2)
    pair.rules.write_text(rules)
    until(lambda: pair.log().count("rules reloaded") >= taken_up + 4)
    pair.process.send_signal(signal.SIGHUP)  # nothing is new
    assert httpx.post(f"{pair.url}/v1/reload", trust_env=False, timeout=PATIENCE).is_success
    assert {one.status() for one in workers(pair)} <= {psutil.STATUS_SLEEPING, psutil.STATUS_RUNNING}


def test_a_worker_that_crashed_is_replaced(pair: Proxy, api_key: str) -> None:
    lost, stays = workers(pair)
    lost.kill()
    until(lambda: "ended (signal 9); another takes its place" in pair.log())
    assert ask_anew(pair, api_key, FRANCE).status_code == 200  # by the one that is left
    until(lambda: len(workers(pair)) == 2)
    until(lambda: len(set(serving(pair))) == 2)
    assert stays.is_running() and not lost.is_running()
    assert pair.log().count("another takes its place") == 1


def test_a_stop_lets_calls_end_at_all_workers(pair: Proxy, provider: Provider, api_key: str) -> None:
    provider.set(is_held=True)
    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(ask_anew, pair, api_key, f"What is {number} plus 7?") for number in range(8)]
        pair.until_in_flight(8)
        until(lambda: provider.calls() == 8)
        pair.process.terminate()
        provider.release(8)
        assert all(one.result().status_code == 200 for one in asked)
    assert pair.process.wait(PATIENCE) == 0
    pair.launch()
    pair.wait_until_ready()


def test_workers_end_with_who_looks_after_them(pair: Proxy) -> None:
    until(lambda: len(set(serving(pair))) == 2)
    left = workers(pair)
    pair.kill()
    assert len(left) == 2 and not psutil.wait_procs(left, PATIENCE)[1]
    pair.restart()


@pytest.fixture
def said(tmp_path: Path) -> Iterator[object]:
    """What a proxy says that cannot start, and its exit code."""
    started: list[subprocess.Popen[str]] = []

    def said(*arguments: str) -> tuple[list[str], int]:
        command = [sys.executable, "-m", "askonce", "serve", "--data", str(tmp_path / "data")]
        command += ["--certs", str(tmp_path / "certs"), *arguments]
        started.append(subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True))
        _, text = started[-1].communicate(timeout=PATIENCE)
        return [line for line in text.splitlines() if " WARNING " not in line], started[-1].returncode

    yield said
    for process in started:
        end(process)


def test_a_data_folder_is_not_shared(said: object) -> None:
    lines, code = said("--listen", "127.0.0.1:0", "--workers", "2")  # type: ignore[operator]
    assert code == 2 and len(lines) == 1
    assert lines[0].startswith("askonce: --workers: several processes need their answers in a database, cache.url")


def test_a_port_that_is_taken_is_said_in_one_line(pair: Proxy, said: object) -> None:
    for count in ("1", "2"):
        lines, code = said("--listen", f"127.0.0.1:{pair.port}", "--workers", count)  # type: ignore[operator]
        assert code and len(lines) == 1 and "cannot listen on" in lines[0]


@pytest.mark.parametrize("workers", ["0", "two", "-1", "1000"])
def test_a_number_that_is_none_is_refused(said: object, workers: str) -> None:
    lines, code = said("--workers", workers)  # type: ignore[operator]
    assert code == 2 and "--workers: expected a number from 1 to 256, or auto" in lines[-1]
