"""That mitmproxy's HTTP/1.1 is mended where it is the one that is known, and left alone where it is not."""

import logging

import pytest
from mitmproxy.proxy.layers import http as layers
from mitmproxy.proxy.layers.http import _http1

from askonce.proxy import http1


def test_the_mitmproxy_that_is_installed_is_known() -> None:
    assert http1.is_known(), "look at what changed in _http1.py, and then add its digest"


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
    monkeypatch.setattr(http1, "_KNOWN", frozenset({"another"}))
    with caplog.at_level(logging.WARNING, "askonce"):
        http1.install()
    assert vars(layers)["Http1Server"] is _http1.Http1Server
    (record,) = caplog.records
    assert "trailers" in record.message


def test_one_without_its_source_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_module: object) -> str:
        raise OSError("source code not available")

    monkeypatch.setattr("inspect.getsource", gone)
    assert not http1.is_known()


def _unmended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "Http1Server", _http1.Http1Server)
    monkeypatch.setattr(layers, "Http1Client", _http1.Http1Client)
    monkeypatch.setattr(_http1, "make_body_reader", http1._make_body_reader)
