"""The hook dispatch that replaces mitmproxy's: as quick as a table, as forgiving as the original."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from mitmproxy import exceptions, hooks, http, master, options
from mitmproxy.addonmanager import AddonManager
from mitmproxy.proxy.layers.http import HttpRequestHook, HttpResponseHook
from mitmproxy.test import tflow

from askonce.proxy.hook_dispatch import CachedAddons


class Addon:
    """Notes what it is told."""

    def __init__(self, name: str, told: list[str]) -> None:
        self.name, self._told = name, told

    def request(self, flow: http.HTTPFlow) -> None:
        self._told.append(self.name)


class Slow(Addon):
    async def request(self, flow: http.HTTPFlow) -> None:  # type: ignore[override]
        await asyncio.sleep(0.001)
        super().request(flow)


class Failing(Addon):
    def __init__(self, name: str, told: list[str], error: Exception) -> None:
        super().__init__(name, told)
        self._error = error

    def request(self, flow: http.HTTPFlow) -> None:
        raise self._error


class FailingLate(Failing):
    async def request(self, flow: http.HTTPFlow) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        raise self._error


class Nesting:
    """Only its addons listen."""

    def __init__(self, *addons: object) -> None:
        self.addons = addons


@pytest.fixture(params=[AddonManager, CachedAddons])
async def addons(request: pytest.FixtureRequest) -> AsyncIterator[AddonManager]:
    """mitmproxy's own manager, which says what is right, and ours."""
    owner = master.Master(options.Options())
    owner._legacy_log_events.uninstall()
    owner.addons = request.param(owner)
    yield owner.addons


@pytest.fixture
def told() -> list[str]:
    return []


async def ask(addons: AddonManager) -> None:
    await addons.handle_lifecycle(HttpRequestHook(tflow.tflow()))


async def test_listeners_are_told_in_the_order_of_the_chain(addons: AddonManager, told: list[str]) -> None:
    addons.add(Addon("a", told), Slow("b", told), Nesting(Addon("c", told), Nesting(Slow("d", told))), Addon("e", told))
    for _ in range(2):
        await ask(addons)
    assert told == ["a", "b", "c", "d", "e"] * 2


@pytest.mark.parametrize("kind", [Failing, FailingLate])
async def test_one_addons_exception_does_not_reach_the_others(
    addons: AddonManager, told: list[str], kind: type[Failing], caplog: pytest.LogCaptureFixture
) -> None:
    addons.add(Addon("a", told), kind("bad", told, ZeroDivisionError("inside")), Addon("b", told))
    await ask(addons)
    assert told == ["a", "b"]
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "Addon error" in record.message
    assert "inside" in record.message
    assert record.exc_info


@pytest.mark.parametrize("kind", [Failing, FailingLate])
async def test_an_addon_may_halt_the_rest(addons: AddonManager, told: list[str], kind: type[Failing]) -> None:
    addons.add(Addon("a", told), kind("halt", told, exceptions.AddonHalt()), Addon("b", told))
    await ask(addons)
    assert told == ["a"]


async def test_a_mistake_in_the_options_is_passed_on(addons: AddonManager, told: list[str]) -> None:
    addons.add(Failing("bad", told, exceptions.OptionsError("no such thing")))
    with pytest.raises(exceptions.OptionsError, match="no such thing"):
        await ask(addons)


async def test_addons_come_and_go(addons: AddonManager, told: list[str]) -> None:
    first, second = Addon("a", told), Addon("b", told)
    addons.add(first)
    await ask(addons)
    addons.add(second)
    await ask(addons)
    addons.remove(first)
    await ask(addons)
    assert told == ["a", "a", "b", "b"]


async def test_whoever_listens_for_updates_is_told_of_the_flow(addons: AddonManager, told: list[str]) -> None:
    updated: list[Any] = []

    class Watching:
        def update(self, flows: list[http.HTTPFlow]) -> None:
            updated.extend(flows)

    addons.add(Addon("a", told))
    await ask(addons)
    addons.add(Watching())
    flow = tflow.tflow()
    await addons.handle_lifecycle(HttpRequestHook(flow))
    await addons.handle_lifecycle(hooks.ClientConnectedHook(tflow.tclient_conn())) if hasattr(
        hooks, "ClientConnectedHook"
    ) else None
    assert updated == [flow]


async def test_what_is_no_listener_is_passed_over(addons: AddonManager, told: list[str]) -> None:
    class Odd:
        request = None

    addons.add(Odd(), Addon("a", told))
    await ask(addons)
    assert told == ["a"]


async def test_listeners_are_looked_up_once(told: list[str]) -> None:
    looked_up: list[str] = []

    class Watched(Addon):
        def __getattribute__(self, name: str) -> Any:
            if name in ("request", "response"):
                looked_up.append(name)
            return super().__getattribute__(name)

    owner = master.Master(options.Options())
    owner._legacy_log_events.uninstall()
    cached = owner.addons = CachedAddons(owner)
    cached.add(Watched("a", told))  # type: ignore[no-untyped-call]
    looked_up.clear()
    for _ in range(5):
        await cached.handle_lifecycle(HttpRequestHook(tflow.tflow()))
        await cached.handle_lifecycle(HttpResponseHook(tflow.tflow()))
    assert looked_up == ["request", "response"]
    assert told == ["a"] * 5
