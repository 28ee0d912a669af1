"""Whether mitmproxy's own limits to bodies are asked: only where one is set."""

import pytest
from mitmproxy.addons import proxyserver
from mitmproxy.test import taddons

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
