"""The master that runs the proxy: what is in it, and how a start fails."""

import logging
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mitmproxy import addonmanager, exceptions, options
from mitmproxy.test import tflow

from askonce.calls.limits import SMALL
from askonce.proxy.addon import Askonce
from askonce.proxy.master import LeanMaster, LetGo, _use_all_descriptors, serve
from askonce.settings import Settings

RULES = "version: 1\nupstreams: [{name: a, hosts: [api.openai.com], paths: [/v1], wire: openai-chat}]\n"


async def test_the_lean_master_has_what_a_proxy_needs(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    settings = Settings("127.0.0.1", 0, rules=tmp_path / "rules.yaml", data=tmp_path / "d", certs=tmp_path / "c")
    askonce = Askonce(settings)
    lean = LeanMaster(options.Options(), askonce)
    chain = [getattr(addon, "name", type(addon).__name__.lower()) for addon in lean.addons.chain]
    assert chain.index("nextlayer") < chain.index("tlsconfig") < chain.index("askonce") < chain.index("errorcheck")
    assert {"core", "proxyserver", "block"} <= set(chain)
    assert logging.getLogger().handlers.count(lean._legacy_log_events) == 0
    await askonce.runtime.close()


async def test_a_plain_one_leaves_mitmproxy_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    settings = Settings("127.0.0.1", 0, rules=tmp_path / "rules.yaml", data=tmp_path / "d", certs=tmp_path / "c")
    askonce = Askonce(settings)
    lean = LeanMaster(options.Options(), askonce, plain=True)
    assert type(lean.addons) is addonmanager.AddonManager
    await askonce.runtime.close()


@pytest.mark.parametrize("end", ["response", "error"])
async def test_what_a_call_held_is_let_go_when_it_is_over(tmp_path: Path, end: str) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    askonce = Askonce(
        Settings("127.0.0.1", 0, rules=tmp_path / "rules.yaml", data=tmp_path / "d", certs=tmp_path / "c")
    )
    lean = LeanMaster(options.Options(), askonce)
    large, small = tflow.tflow(resp=True), tflow.tflow(resp=True)
    large.request.raw_content = bytes(SMALL + 1)
    for flow in (large, small):
        askonce.requestheaders(flow)
        assert flow in askonce._visits
        getattr(LetGo(askonce), end)(flow)
    assert not askonce._visits
    assert (large.request.raw_content, small.request.raw_content) == (None, b"content")
    assert [type(addon) for addon in lean.addons.chain].index(LetGo) > lean.addons.chain.index(askonce)
    await askonce.runtime.close()


@pytest.mark.parametrize("name", ["emudhra", "emudhra_old"])
async def test_nothing_signs_with_a_stolen_key(tmp_path: Path, name: str) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    settings = Settings("127.0.0.1", 0, rules=tmp_path / "rules.yaml", data=tmp_path / "d", certs=tmp_path / "c")
    askonce = Askonce(settings)
    lean = LeanMaster(options.Options(), askonce)
    if name not in lean.options:  # mitmproxy 12.2 has no such option
        lean.options.add_option(name, bool, False, "as in mitmproxy 12.3")
    with pytest.raises(exceptions.OptionsError, match=f"{name}: Askonce signs with its own authority alone"):
        lean.options.update(**{name: True})
    assert getattr(lean.options, name) is False
    await askonce.runtime.close()


@pytest.mark.parametrize(
    ("make", "mistake"),
    [
        (
            lambda folder: (folder / "rules.yaml").write_text(RULES + "embedder: word2vec\n"),
            'unknown embedder "word2vec"',
        ),
        (lambda folder: (folder / "rules.yaml").write_text(RULES + "judge: deep\n"), "judge: deep is not installed"),
        (lambda folder: (folder / "rules.yaml").write_text("version: 1\nupstreams: []\n"), "rules.yaml:2: upstreams"),
        (lambda folder: None, "rules.yaml: cannot be read"),
    ],
)
def test_a_start_that_cannot_be_is_one_line_and_exit_code_2(
    tmp_path: Path,
    make: Callable[[Path], object],
    mistake: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    make(tmp_path)
    settings = Settings("127.0.0.1", 0, rules=tmp_path / "rules.yaml", data=tmp_path / "d", certs=tmp_path / "c")
    before = sys.getswitchinterval()
    assert serve(settings) == 2
    sys.setswitchinterval(before)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("askonce: ")
    assert mistake in line


def test_threads_that_compute_give_way_soon(tmp_path: Path) -> None:
    settings = Settings("127.0.0.1", 0, rules=tmp_path / "rules.yaml", data=tmp_path / "d", certs=tmp_path / "c")
    before = sys.getswitchinterval()
    assert before > 0.001
    try:
        serve(settings)
        assert sys.getswitchinterval() == pytest.approx(0.0005)
    finally:
        sys.setswitchinterval(before)


def test_as_many_descriptors_as_there_are_may_be_used() -> None:
    resource = pytest.importorskip("resource")
    before = soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        _use_all_descriptors()
        most = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
