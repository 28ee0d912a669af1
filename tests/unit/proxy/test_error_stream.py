"""Whether mitmproxy's own limits to bodies are asked: only where one is set. And what is kept of no HTTP: nothing."""

import pytest
from mitmproxy import options
from mitmproxy.addons import proxyserver
from mitmproxy.proxy import context
from mitmproxy.proxy.layers import http
from mitmproxy.test import taddons, tflow

from askonce.proxy import error_stream
from askonce.proxy.error_stream import AnsweringStream


@pytest.mark.parametrize("name", ["body_size_limit", "stream_large_bodies"])
def test_mitmproxys_own_limits_are_asked_where_they_are_set(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AnsweringStream, "has_options", True)
    with taddons.context(proxyserver.Proxyserver()) as context:
        error_stream.note(context.options)
        assert not AnsweringStream.has_options
        context.options.update(**{name: "1m"})
        error_stream.note(context.options)
        assert AnsweringStream.has_options


def test_nothing_is_kept_of_what_follows_an_upgrade() -> None:
    error_stream.install()
    relay = http.tcp.TCPLayer(context.Context(tflow.tclient_conn(), options.Options()))
    assert relay.flow is None
