"""The pytest plugin: options, the marker `askonce`, and what happens around a marked test.

One rule: where no test is marked, nothing else of Askonce is imported and nothing is started; where one is, the start
does not wait for the module that it is in.
"""

import argparse
import os
import re
from collections.abc import Generator, Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from askonce.testing.player import Player

_MARK = b"pytest.mark.askonce"
_PLAYER = pytest.StashKey["Player"]()
_USED = pytest.StashKey[dict[str, list[str]]]()
"""Cassette -> the keys of the answers that tests asked for."""
_FAILED = pytest.StashKey[list[str]]()
_BEFORE = pytest.StashKey[dict[str, str | None]]()
"""What a test's environment was before."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("askonce", "recorded answers of LLM providers")
    group.addoption(
        "--askonce-mode",
        choices=("record", "replay", "strict"),
        help="record: ask providers and record; replay: ask what is not recorded; strict: ask nothing (the default).",
    )
    group.addoption("--askonce-errors", action="store_true", help="Record a provider's errors, too.")
    group.addoption(
        "--askonce-unused", action="store_true", help="Report recorded answers that no test of this run asked for."
    )
    parser.addini("askonce_mode", "Where --askonce-mode is not given: record, replay or strict.", default="strict")
    parser.addini("askonce_errors", "Record a provider's errors, too.", type="bool", default=False)
    parser.addini("askonce_cassettes", "A cassette for each `module` or for each `test`.", default="module")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "askonce: calls to LLM providers are answered from a cassette.")
    config.stash[_USED], config.stash[_FAILED] = {}, []
    for name, known in (("askonce_mode", ("record", "replay", "strict")), ("askonce_cassettes", ("module", "test"))):
        if config.getini(name) not in known:
            raise pytest.UsageError(f"{name}: expected one of {', '.join(known)}; got {config.getini(name)!r}")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """A conftest.py may import SDKs, too: where a module is named, the player starts before."""
    options = early_config.known_args_namespace
    if getattr(options, "numprocesses", None):  # whoever collects is another process
        return
    for name in options.file_or_dir:
        _start_for(early_config, options, early_config.invocation_params.dir / name.partition("::")[0])


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> None:
    """A module is about to be imported, which takes as long as its SDKs; the player starts meanwhile."""
    _start_for(parent.config, parent.config.option, module_path)


def _start_for(config: pytest.Config, options: argparse.Namespace, module: Path) -> None:
    with suppress(OSError):
        if not options.collectonly and module.is_file() and _MARK in module.read_bytes():
            _player(config, options)


@pytest.hookimpl(tryfirst=True)  # before any fixture makes a client
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("askonce"):
        try:
            player = _player(item.config, item.config.option)
            player.play(cassette_of(item))
        except Exception as error:
            pytest.fail(f"askonce: {error}", pytrace=False)
        item.stash[_BEFORE] = _exchange(player.variables)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    try:
        yield
    finally:
        if _BEFORE in item.stash:
            before = item.stash[_BEFORE]
            _exchange(before)


@pytest.hookimpl(tryfirst=True)  # a worker of pytest-xdist sends what it has to say in its own
def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    if player := config.stash.get(_PLAYER, None):
        try:
            player.close()
        except Exception as error:
            config.stash[_FAILED].append(str(error))
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        config.stash[_USED] = player.used
    if hasattr(config, "workeroutput"):
        config.workeroutput["askonce"] = (config.stash[_USED], config.stash[_FAILED])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker of pytest-xdist has ended."""
    used, failed = getattr(node, "workeroutput", {}).get("askonce", ({}, []))
    node.config.stash[_FAILED] += failed
    for cassette, keys in used.items():
        node.config.stash[_USED].setdefault(cassette, []).extend(keys)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    failed, used = config.stash[_FAILED], config.stash[_USED]
    lines = [*failed]
    if config.option.askonce_unused and used:
        from askonce.testing.unused import unused

        lines += unused(used, config.invocation_params.dir) or ["every recorded answer was asked for"]
    if lines:
        terminalreporter.section("askonce")
        for line in lines:
            terminalreporter.line(line)


def cassette_of(item: pytest.Item) -> Path:
    """Beside the test's module, in `cassettes`."""
    folder, module = item.path.parent / "cassettes", item.path.stem
    if item.config.getini("askonce_cassettes") == "module":
        return folder / f"{module}.jsonl"
    name = item.nodeid.partition("::")[2]
    plain = re.sub(r"[^\w.=\[\]-]+", "-", name)[:100]
    if plain != name:  # two names may become one
        plain += "-" + blake2b(name.encode(), digest_size=4).hexdigest()
    return folder / module / f"{plain}.jsonl"


def _player(config: pytest.Config, options: argparse.Namespace) -> "Player":
    if _PLAYER not in config.stash:
        from askonce.testing.player import Player

        rules = config.rootpath / "rules.yaml"
        mode = options.askonce_mode or config.getini("askonce_mode")
        errors = options.askonce_errors or config.getini("askonce_errors")
        config.stash[_PLAYER] = Player(mode, rules if rules.is_file() else None, errors=errors)
    return config.stash[_PLAYER]


def _exchange(variables: Mapping[str, str | None]) -> dict[str, str | None]:
    """Set these in our environment; what they were."""
    before = {name: os.environ.get(name) for name in variables}
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    return before
