"""The parts of patience that need no proxy: whose address is whose, and that a fault leaves everybody alone."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy import ctx
from mitmproxy.test import tflow

from askonce.calls.limits import Limits
from askonce.proxy.patience import Patience, _client, _pause
from askonce.rules import LimitsSpec


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("somewhere", "somewhere"),
    ],
)
def test_whose_address_it_is(address: str, client: str) -> None:
    assert _client(address) == client


@pytest.mark.parametrize(
    ("times", "pause"), [((60, 60, 600), 5.0), ((0.4, 60, 600), 0.1), ((0.01, 1, 1), 0.05), ((0, 0, 0), 1.25)]
)
def test_how_often_connections_are_looked_at(
    times: tuple[float, float, float], pause: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    header, body, idle = times
    monkeypatch.setattr(Limits, "in_force", LimitsSpec(header_timeout=header, body_timeout=body, idle_timeout=idle))
    assert _pause() == pytest.approx(pause)


def test_no_limit_to_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    reports = list[tuple[Any, ...]]()
    patience = Patience(lambda *what: reports.append(what))
    monkeypatch.setattr(Limits, "in_force", LimitsSpec(connections_per_client=0))
    clients = [tflow.tclient_conn() for _ in range(50)]
    for client in clients:
        client.error = None
        patience.client_connected(client)
    assert [client.error for client in clients] == [None] * 50
    for client in clients:
        patience.client_disconnected(client)
    assert not patience._held
    assert not reports


async def test_a_connection_that_is_not_understood_is_reported_and_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    reported = asyncio.Event()
    reports = list[tuple[Any, ...]]()

    def report(*what: object) -> None:
        reports.append(what)
        reported.set()

    class Strange:
        """A handler without anything that one has."""

    monkeypatch.setattr(Limits, "in_force", LimitsSpec(header_timeout=0.01))
    server = SimpleNamespace(connections={"a": Strange()})
    monkeypatch.setattr(ctx, "master", SimpleNamespace(addons={"proxyserver": server}), raising=False)
    patience = Patience(report)
    patience.running()
    try:
        await asyncio.wait_for(reported.wait(), 5)
    finally:
        patience.done()
    assert reports[0][0] == "looking at a connection"
    assert isinstance(reports[0][1], AttributeError)
