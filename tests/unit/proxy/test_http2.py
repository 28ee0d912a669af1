"""That mitmproxy's HTTP/2 is replaced where it is the one that is known; tests/e2e/test_unread.py has what it does."""

import logging

import pytest
from mitmproxy.proxy.layers import http as layers
from mitmproxy.proxy.layers.http import _http2
from mitmproxy.test import tflow

from askonce.proxy import http2, known_source


@pytest.fixture
def unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "Http2Server", _http2.Http2Server)
    monkeypatch.setattr(layers, "Http2Client", _http2.Http2Client)


@pytest.mark.usefixtures("unchanged")
def test_it_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "askonce"):
        http2.install()
    for module, names in http2.replacements():
        assert {name: getattr(module, name) for name in names} == names
    assert not caplog.records


@pytest.mark.usefixtures("unchanged")
def test_another_text_stays_as_it_is(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(known_source, "KNOWN", {**known_source.KNOWN, _http2: frozenset({"another"})})
    with caplog.at_level(logging.WARNING, "askonce"):
        http2.install()
    assert layers.Http2Server is _http2.Http2Server
    assert len(caplog.records) == 1


def test_a_client_that_speaks_no_http2_leaves_nothing_there() -> None:
    assert http2.untaken(tflow.tclient_conn()) == 0
