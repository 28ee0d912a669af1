"""The long-lived half: what a start and a reload accept, and how a changed file is noticed."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.support.waiting import until_so
from threadpoolctl import threadpool_info

from askonce import trust
from askonce.cache import StoreError
from askonce.cache.judge.deep import DeepJudge
from askonce.call import Request
from askonce.rules import ConfigError
from askonce.runtime import Runtime
from askonce.settings import Settings

RULES = """\
version: 1
upstreams:
  - {name: chat, hosts: [HOST], paths: [/v1/chat/completions], wire: openai-chat}
"""


def rules(host: str) -> str:
    return RULES.replace("HOST", host)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "rules.yaml").write_text(rules("api.openai.com"))
    return Settings(
        "127.0.0.1", 8080, rules=tmp_path / "conf" / "rules.yaml", data=tmp_path / "data", certs=tmp_path / "certs"
    )


@pytest.fixture
async def runtime(settings: Settings) -> AsyncIterator[Runtime]:
    runtime = Runtime(settings)
    yield runtime
    await runtime.close()


def hosts(runtime: Runtime) -> tuple[str, ...]:
    return runtime.rules.host_names()


@pytest.fixture
def watched(runtime: Runtime) -> list[str]:
    """The outcomes of the reloads that a watched file caused, so far."""
    outcomes: list[str] = []

    async def reload() -> None:
        try:
            outcomes.append("changed" if runtime.reload() else "same")
        except ConfigError:
            outcomes.append("refused")
            raise

    runtime.watch(reload)
    return outcomes


# Start


async def test_it_is_ready_once_everything_is_loaded_and_not_while_it_stops(settings: Settings) -> None:
    runtime = Runtime(settings)
    assert runtime.not_ready == "starting"
    await runtime.warm_up()
    assert runtime.not_ready is None
    runtime.stopping()
    assert runtime.not_ready == "stopping"
    await runtime.close()


async def test_a_call_keeps_its_apps_span_where_none_of_ours_can_be_exported(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)
    runtime = Runtime(settings)
    sent = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    request = Request("POST", "api.openai.com", "/v1/chat/completions", "", sent, b"")
    trace = runtime.life.pass_by(next(iter(runtime.rules)), request, "websocket").trace
    await runtime.close()
    assert trace is None


async def test_what_pays_for_a_proxy_that_stays_is_not_done_for_one_that_stops(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = list[str]()
    monkeypatch.setattr("askonce.runtime._SETTLED", 0.05)
    await runtime.run_later(lambda: done.append("what pays"))
    assert done == ["what pays"]
    monkeypatch.setattr("askonce.runtime._SETTLED", 60)
    settling = asyncio.ensure_future(runtime.run_later(lambda: done.append("again")))
    await asyncio.sleep(0)
    runtime._closing.set()
    await asyncio.wait_for(settling, 5)
    assert done == ["what pays"]


async def test_no_lookup_waits_for_a_second_core(runtime: Runtime) -> None:
    assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {1}


async def test_the_judge_that_rules_yaml_names_is_the_one_that_is_asked(settings: Settings) -> None:
    settings.rules.write_text(rules("api.openai.com") + "judge: deep\n")
    runtime = Runtime(settings)
    assert isinstance(runtime.cache._finder._judge, DeepJudge)
    await runtime.close()


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        (rules("api.openai.com") + "judge: oracle\n", "judge: .*'auto', 'trees' or 'deep'"),
        ("version: 1\nupstreams: []\n", r"rules\.yaml:2: upstreams: expected at least one"),
        (rules("api.openai.com") + "embedder: word2vec\n", "word2vec.*wordllama"),
        (rules("api.openai.com") + "manage: {token: ''}\n", r"manage\.token: string should have at least 1 character"),
    ],
)
async def test_rules_that_cannot_be_used_stop_the_start(settings: Settings, text: str, mistake: str) -> None:
    settings.rules.write_text(text)
    with pytest.raises(ValueError, match=mistake):
        Runtime(settings)
    assert not settings.data.exists() or not list(settings.data.glob("*.db"))


async def test_a_data_folder_that_is_in_use_stops_the_start(runtime: Runtime, settings: Settings) -> None:
    with pytest.raises(StoreError, match="is in use by another Askonce"):
        Runtime(settings)


async def test_an_embedder_that_cannot_be_loaded_does_not_stop_the_start(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.rules.write_text(rules("api.openai.com") + "embedder: openai:m@http://127.0.0.1:9/v1\n")
    runtime = Runtime(settings)
    await runtime.warm_up()
    assert runtime.not_ready is None
    said = {record.message.partition(":")[0] for record in caplog.records if record.levelno >= logging.WARNING}
    assert said == {"no management token", "embedder"}
    assert runtime.accounting.faults() == {"embedder": 1}
    await runtime.close()


@pytest.mark.parametrize(("token", "warned"), [(None, True), ("s3cret", False)])
async def test_a_start_without_a_token_is_warned_of(
    settings: Settings, caplog: pytest.LogCaptureFixture, token: str | None, warned: bool
) -> None:
    await Runtime(replace(settings, token=token)).close()
    assert ("no management token: whoever reaches 127.0.0.1:8080 may see, change and clear" in caplog.text) is warned
    assert "s3cret" not in caplog.text


# Reload


async def test_a_reload_takes_up_what_changed(runtime: Runtime, settings: Settings) -> None:
    trust.ensure_ca(settings.certs, hosts(runtime), environ={})
    assert not runtime.reload()
    settings.rules.write_text("# a comment changes nothing\n" + rules("api.openai.com"))
    assert not runtime.reload()
    verifier = "verifier: {url: http://127.0.0.1:1/v1, model: small}\n"
    settings.rules.write_text(rules("api.groq.com") + verifier)
    assert runtime.reload()
    assert hosts(runtime) == ("api.groq.com", "askonce.internal")
    assert runtime.life.rules is runtime.rules
    asked = runtime.rules.config.verifier
    assert asked
    assert runtime._gray_zone.spec is runtime._shadow.spec is asked
    assert "api.groq.com" in trust.ca_info(settings.certs).hosts


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("version: 1\nupstreams: []\n", r"rules\.yaml:2: upstreams: expected at least one"),
        ("{", r"rules\.yaml:1: not valid YAML"),
        (rules("a" * 64 + ".example.com"), "a certificate cannot name the host"),
    ],
)
async def test_a_file_that_cannot_be_used_keeps_the_old_rules_and_says_why(
    runtime: Runtime, settings: Settings, caplog: pytest.LogCaptureFixture, text: str, mistake: str
) -> None:
    old = runtime.rules
    settings.rules.write_text(text)
    with pytest.raises(ConfigError, match=mistake):
        runtime.reload()
    assert runtime.rules is runtime.life.rules is old
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.message.startswith("the rules stay as they were:")


async def test_what_a_reload_cannot_change_is_said(
    runtime: Runtime, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.rules.write_text(rules("api.openai.com") + "cache: {max_entries: 5}\nmanage: {host: cache.internal}\n")
    assert runtime.reload()
    assert "a change of cache.max_entries, manage.host takes effect at the next start" in caplog.text


# Watching


async def test_a_changed_file_is_taken_up(runtime: Runtime, settings: Settings, watched: list[str]) -> None:
    await asyncio.sleep(0.1)  # until it is watched
    settings.rules.write_text(rules("api.groq.com"))
    await until_so(lambda: "api.groq.com" in hosts(runtime))
    # As editors do it: a new file in place of the old.
    new = settings.rules.with_name("rules.yaml.new")
    new.write_text(rules("api.x.ai"))
    new.replace(settings.rules)
    await until_so(lambda: "api.x.ai" in hosts(runtime))


async def test_a_broken_file_does_not_end_the_watch(runtime: Runtime, settings: Settings, watched: list[str]) -> None:
    await asyncio.sleep(0.1)
    for text in ("{", rules("a" * 64 + ".example.com")):
        seen = watched.count("refused")
        settings.rules.write_text(text)
        await until_so(lambda seen=seen: watched.count("refused") > seen)  # type: ignore[misc]
    assert "api.openai.com" in hosts(runtime)
    settings.rules.write_text(rules("api.groq.com"))
    await until_so(lambda: "api.groq.com" in hosts(runtime))


async def test_other_files_beside_it_are_none_of_its_business(settings: Settings, watched: list[str]) -> None:
    await asyncio.sleep(0.1)
    settings.rules.with_name("notes.txt").write_text("hello")
    await asyncio.sleep(0.3)
    assert watched == []


async def test_a_link_to_another_folder_is_followed(tmp_path: Path) -> None:
    """As Kubernetes mounts a ConfigMap: rules.yaml -> ..data/rules.yaml, and ..data is replaced."""
    for version, host in (("1", "api.openai.com"), ("2", "api.groq.com")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "rules.yaml").write_text(rules(host))
    (tmp_path / "..data").symlink_to("1")
    (tmp_path / "rules.yaml").symlink_to("..data/rules.yaml")
    runtime = Runtime(
        Settings("127.0.0.1", 8080, rules=tmp_path / "rules.yaml", data=tmp_path / "d", certs=tmp_path / "c")
    )

    async def reload() -> None:
        runtime.reload()

    runtime.watch(reload)
    await asyncio.sleep(0.1)
    (tmp_path / "..new").symlink_to("2")
    (tmp_path / "..new").replace(tmp_path / "..data")
    await until_so(lambda: "api.groq.com" in hosts(runtime))
    await runtime.close()


# Faults

PARIS = b"""{"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0,
"message": {"role": "assistant", "content": "Paris."}, "finish_reason": "stop"}]}"""


async def ask(runtime: Runtime, question: str) -> bool:
    """A whole call; whether it was a hit."""
    body = {"model": "m", "messages": [{"role": "user", "content": question}]}
    request = Request("POST", "api.openai.com", "/v1/chat/completions", "", {}, orjson.dumps(body))
    life, [rule] = runtime.life, runtime.rules
    exchange = life.begin(rule, request)
    if life.look_up_in_memory(exchange) or await life.look_up(exchange):
        life.account(exchange)
        return True
    life.pass_on(exchange, 200)
    await life.remember(exchange, (("content-type", "application/json"),), lambda: PARIS)
    return False


@pytest.mark.parametrize("part", ["embedder", "judge", "look-up"])
async def test_each_fault_of_a_look_up_is_counted_once(
    runtime: Runtime, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache that reports to a reporter of its own is not counted; one that reports on the way up is counted twice."""
    await runtime.warm_up()
    assert not await ask(runtime, "What is the capital of France?")
    finder = runtime.cache._finder
    holder, name = {
        "embedder": (runtime.cache._embedder.now, "embed"),
        "judge": (finder._judge, "judge"),
        "look-up": (finder._store, "nearest"),
    }[part]
    met = 0

    def broken(*_: Any, **__: Any) -> Any:
        nonlocal met
        met += 1
        raise OSError("out of order")

    monkeypatch.setattr(holder, name, broken)
    for question in ("Tell me what the capital of France is.", "Which city is the capital of France?"):
        assert not await ask(runtime, question)
    assert met >= 2
    assert runtime.accounting.faults() == {part: met}
