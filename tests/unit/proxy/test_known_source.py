import logging
from types import ModuleType

import pytest
from mitmproxy import http, optmanager
from mitmproxy.proxy import layer, mode_servers

from askonce.proxy import hook_dispatch, known_source, mitmproxy_patches
from askonce.proxy.known_source import KNOWN, digest, is_known


@pytest.mark.parametrize("module", KNOWN, ids=lambda module: module.__name__)
def test_the_mitmproxy_that_is_installed_is_known(module: ModuleType) -> None:
    assert digest(module) in KNOWN[module]


def test_a_module_without_its_source_is_not_known() -> None:
    assert digest(ModuleType("nowhere")) == ""


def test_another_text_steps_aside_in_one_line(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_source, "KNOWN", {**KNOWN, http: frozenset({"another"}), layer: frozenset()})
    own = (http.Headers.get, optmanager._Option.current, layer.Layer.handle_event, mode_servers.ProxyConnectionHandler)
    with caplog.at_level(logging.WARNING, "askonce"):
        mitmproxy_patches.install()
        assert not hook_dispatch.install()
    assert own == (
        http.Headers.get,
        optmanager._Option.current,
        layer.Layer.handle_event,
        mode_servers.ProxyConnectionHandler,
    )
    assert [record.getMessage() for record in caplog.records] == [
        "shorter ways through mitmproxy are left out: mitmproxy.http is not the one they were written for",
        "direct calls of hooks are left out: mitmproxy.proxy.layer is not the one they were written for",
    ]


def test_what_is_known_is_not_spoken_of(caplog: pytest.LogCaptureFixture) -> None:
    assert is_known("nothing is", (http, layer))
    assert not caplog.records
