"""That mitmproxy's HTTP/1.1 is mended where it is the one that is known, and left alone where it is not."""

import logging

import pytest
from mitmproxy.proxy.layers import http as layers
from mitmproxy.proxy.layers.http import _http1

from askonce.proxy import http1, known_source


def test_it_is_mended(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    _unmended(monkeypatch)
    with caplog.at_level(logging.WARNING, "askonce"):
        http1.install()
    for module, names in http1.replacements():
        assert {name: getattr(module, name) for name in names} == names
    assert not caplog.records


def test_another_one_is_left_alone_and_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _unmended(monkeypatch)
    monkeypatch.setattr(known_source, "KNOWN", {_http1: frozenset({"another"})})
    with caplog.at_level(logging.WARNING, "askonce"):
        http1.install()
    assert vars(layers)["Http1Server"] is _http1.Http1Server
    (record,) = caplog.records
    assert "trailers" in record.message


def _unmended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "Http1Server", _http1.Http1Server)
    monkeypatch.setattr(layers, "Http1Client", _http1.Http1Client)
    monkeypatch.setattr(_http1, "make_body_reader", http1._make_body_reader)
