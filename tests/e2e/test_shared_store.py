"""Two proxies, one database: each serves what the other was told, and nobody what was taken away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from tests.shared.trials import FRANCE, REWORDED, App, apps, rules_for, run
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.e2e.conftest import Provider, Proxy, StartProxy
    from tests.support.postgres import Postgres


@pytest.fixture(scope="module")
def two(
    start_module_proxy: StartProxy, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[App, ...]]:
    place, folder = postgres.place(), tmp_path_factory.mktemp("rules")
    proxies: list[Proxy] = []
    for file in (folder / "one.yaml", folder / "other.yaml"):
        file.write_text(rules_for(place))
        proxies.append(start_module_proxy(rules=file))
    with apps(*proxies) as behind:
        yield behind
    for proxy in proxies:
        proxy.close()  # before the server stops


def test_what_one_stored_the_other_serves(two: tuple[App, ...], provider: Provider, api_key: str) -> None:
    one, other = two
    assert one.ask(api_key, FRANCE).headers["cache-status"] == "askonce; fwd=miss; stored"
    exact = until(lambda: other.cached(api_key, FRANCE))
    assert exact.headers["cache-status"].endswith("; detail=exact")
    semantic = other.cached(api_key, REWORDED)
    assert semantic and semantic.headers["cache-status"].endswith("; detail=semantic")
    assert semantic.headers["x-cache-key"] == exact.headers["x-cache-key"]
    assert other.cached(f"{api_key}-of-another", FRANCE) is None
    assert provider.calls() == 1


def test_what_one_takes_away_the_other_never_serves_again(two: tuple[App, ...], provider: Provider) -> None:
    """`python -m tests.shared` tries it a thousand times."""
    assert sum(run(*two, trials=51).values()) == 0


def test_identical_calls_at_both_ask_the_provider_once(two: tuple[App, ...], provider: Provider, api_key: str) -> None:
    provider.set(is_held=True)
    with ThreadPoolExecutor(50) as threads:
        asked = [threads.submit(two[number % 2].ask, api_key, FRANCE) for number in range(50)]
        until(lambda: provider.calls())
        until(lambda: all(app.in_flight() == 25 for app in two))
        provider.release(1)
        answers = [one.result() for one in asked]
    assert provider.calls() == 1
    assert all(answer.status_code == 200 for answer in answers)
    told = Counter(answer.headers["cache-status"].partition(";")[2].strip().split(";")[0] for answer in answers)
    assert told == {"fwd=miss": 1, "hit": 49}


def test_answers_outlive_all_proxies(two: tuple[App, ...], provider: Provider, api_key: str) -> None:
    one, other = two
    one.ask(api_key, FRANCE)
    until(lambda: other.cached(api_key, FRANCE))
    one.proxy.stop()
    other.proxy.kill()
    one.proxy.restart()
    assert one.cached(api_key, FRANCE)
    assert provider.calls() == 1
