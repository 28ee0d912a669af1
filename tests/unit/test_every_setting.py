"""Every setting of rules.yaml, changed by a reload: it takes effect, or the log says that the next start takes it up.

Two halves: what holds after a reload (the table below has each setting there is), and that nobody keeps a copy of what
held before: of all settings, a start reads only those that are marked as read at the start.
"""

import logging
import traceback
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from askonce import trust
from askonce.products.document import Config
from askonce.rules import LimitsSpec
from askonce.rules.reuse import ReuseSpec
from askonce.rules.sections import AT_START, Section
from askonce.runtime import Runtime
from askonce.settings import Settings

RULE = {"name": "chat", "hosts": ["api.openai.com"], "paths": ["/v1/chat/completions"], "wire": "openai-chat"}
BASE: dict[str, Any] = {"version": 1, "upstreams": [RULE]}
VERIFIER = {"url": "https://api.openai.com/v1", "model": "m"}
PEM = (
    generate_private_key(public_exponent=65537, key_size=2048)
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
PROVIDER = {"verify_url": "https://a.test", "verify_model": "v", "embed_url": "https://b.test", "embed_model": "e"}
BEHAVIOUR = {
    "match": "exact",
    "max_error": 0.5,
    "audit": 0.5,
    "audits_per_hour": 1,
    "approve": True,
    "personal_data": "refuse",
    "ttl": 77,
    "scope": "shared",
    "max_temperature": 0.1,
    "max_answer": 1234,
    "usage": "zero",
    "stale_while_revalidate": 5,
    "stale_if_error": 5,
    "ignore_headers": ["x-trace"],
    "reuse": {kind: {"semantic": True, "exact": False, "ttl": 9} for kind in ReuseSpec.model_fields},
}
ANOTHER: dict[str, Any] = {
    "defaults": BEHAVIOUR,
    "cassette": {"scrub": [{"pattern": "x"}]},
    "upstreams": {
        **BEHAVIOUR,
        "name": "other",
        "hosts": ["api.other.test"],
        "paths": ["/v2/chat"],
        "wire": "generic",
        "prompt": "$.q",
        "ignore": ["$.user"],
        "headers": ["x-tone"],
        "depends": {"doc:*": "$.documents[*]"},
        "when": {"x-api": "v2*"},
        "websocket": "refuse",
        "normalise": [{"path": "$.q", "pattern": "n={number}", "to": "n"}],
        "upstream": "http://127.0.0.1:9",
    },
    "embedder": "openai:m@http://127.0.0.1:9/v1",
    "judge": "deep",
    "verifier": {
        "url": "http://127.0.0.1:9",
        "model": "n",
        "key": "k",
        "timeout": 9,
        "above": 0.1,
        "mode": "shadow",
        "per_day": 9,
    },
    "cache": {
        "max_entries": 5,
        "max_bytes": "1GiB",
        "max_share": 0.5,
        "lookup_deadline": 9,
        "url": "postgresql://askonce@db.corp.example/askonce",
        "database_schema": "team",
        "password": "p",
        "password_file": "p",
    },
    "limits": dict.fromkeys(LimitsSpec.model_fields, 12345),
    "access": {"clients": ["10.0.0.0/8"], "destinations": ["10.0.0.0/8"], "authenticate": True},
    "upstream_proxy": {"url": "http://127.0.0.1:9", "user": "u", "password": "p", "no_proxy": ["a.test"]},
    "manage": {"host": "cache.internal", "token": "t", "aliases": ["proxy"]},
    "products": {
        "default_dialect": "semcache",
        "provider_keys": dict.fromkeys(("openai", "anthropic", "google", "mistral", "voyage"), "k"),
        "promptcache": {
            "high_threshold": 0.9,
            "low_threshold": 0.1,
            "gray_zone_verifier": False,
            "decided_by": "thresholds",
            "verify_timeout": 9,
            "max_request": 99,
            "openai": PROVIDER,
            "mistral": PROVIDER,
            "claude": PROVIDER,
        },
        "semcache": {
            "similarity_threshold": 0.1,
            "overwrite_threshold": 0.1,
            "guards": False,
            "ttl": 9,
            "open": True,
            "max_request": 99,
        },
        "gateway": {"rate": "1/day", "models": {"x*": "openai"}, "max_tokens": 9, "share_answers": True},
        "cachecore": {
            "secret": "s" * 32,
            "public_key": PEM,
            "fresh": 9,
            "stale": 9,
            "threshold": 0.1,
            "bypass_rate": "1/day",
            "anonymous_invalidate": "never",
            "debug_headers": True,
        },
        "langcache": {
            "api_keys": ["k"],
            "threshold": 0.1,
            "guards": True,
            "ttl": 9,
            "max_prompt": 9,
            "create_missing": False,
            "empty_replies": "never",
            "rate": "1/day",
            "caches": {"c": {}},
        },
    },
    "prices": {"gpt": {"input": 1, "output": 2}},
}
"""Another value for every setting there is."""


def sections_of(annotation: Any) -> list[type[Section]]:
    """The sections in a type: one, one or none, a tuple of them."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    if typing.get_origin(annotation) in (types.UnionType, typing.Union, tuple):
        return [found for part in typing.get_args(annotation) for found in sections_of(part)]
    return []


def settings_of(section: type[Section], place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], bool]]:
    """(place, whether it is read at the start) of every setting. A list within a section is one."""
    for name, field in section.model_fields.items():
        is_list = place != () and typing.get_origin(field.annotation) is tuple
        inner = [] if is_list or (*place, name) == ("version",) else sections_of(field.annotation)
        if inner and AT_START not in field.metadata:
            yield from settings_of(inner[0], (*place, name))
        elif name != "version":
            yield (*place, name), AT_START in field.metadata


EVERY = list(settings_of(Config))


def value_at(value: Any, place: tuple[str, ...]) -> Any:
    for step in place:
        if value is None:
            return None
        value = value[step] if isinstance(value, dict) else getattr(value, step)
        value = (
            value[0] if isinstance(value, tuple | list) and value and isinstance(value[0], dict | Section) else value
        )
    return value


def with_another(place: tuple[str, ...]) -> dict[str, Any]:
    """rules.yaml with another value of one setting."""
    first, *steps = place
    if first == "upstreams":
        rule = {**RULE, steps[0]: ANOTHER[first][steps[0]]}
        if rule["wire"] == "generic":
            rule["prompt"] = "$.q"
        return {**BASE, "upstreams": [rule]}
    told: dict[str, Any] = {**BASE, **({"verifier": dict(VERIFIER)} if first == "verifier" else {})}
    holder = told
    for step in (first, *steps)[:-1]:
        holder = holder.setdefault(step, {})
    holder[place[-1]] = value_at(ANOTHER, place)
    if place == ("cassette", "scrub"):  # a list of sections
        holder[place[-1]] = ANOTHER["cassette"]["scrub"]
    if place[:2] == ("products", "promptcache") and len(place) == 4:  # a provider is told whole
        told["products"]["promptcache"][place[2]] = _provider_with(place[2], place[3])
    return told


def _provider_with(provider: str, name: str) -> dict[str, str]:
    shipped = Config.model_validate(BASE).products.promptcache
    return {**getattr(shipped, provider).model_dump(), name: PROVIDER[name]}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    rules = tmp_path / "rules.yaml"
    rules.write_text(yaml.safe_dump(BASE))
    return Settings("127.0.0.1", 8080, rules=rules, data=tmp_path / "data", certs=tmp_path / "certs", token="t0ken")


def test_the_table_has_every_setting() -> None:
    def leaves(value: dict[str, Any], place: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
        known = {place for place, _ in EVERY}
        for name, item in value.items():
            if (*place, name) in known:
                yield (*place, name)
            else:
                yield from leaves(item, (*place, name))

    assert set(leaves(ANOTHER)) == {place for place, _ in EVERY}
    assert len(EVERY) > 70


async def test_every_change_takes_effect_or_is_said_to_take_it_later(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = Runtime(settings)
    trust.ensure_ca(settings.certs, runtime.rules.host_names(), environ={})
    try:
        for place, at_start in EVERY:
            settings.rules.write_text(
                yaml.safe_dump({**BASE, "verifier": VERIFIER} if place[0] == "verifier" else BASE)
            )
            runtime.reload()
            before = value_at(runtime.rules.config, place)
            caplog.clear()
            settings.rules.write_text(yaml.safe_dump(with_another(place)))
            with caplog.at_level(logging.WARNING):
                assert runtime.reload(), place
            after = value_at(runtime.rules.config, place)
            warned = f"a change of {'.'.join(place)} takes effect at the next start" in caplog.text
            assert (after == before, warned) == (at_start, at_start), place
            assert runtime.life.rules is runtime.rules
    finally:
        await runtime.close()


async def test_a_start_keeps_no_copy_of_what_a_reload_may_change(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`Rules` and the checks of a file read everything, and do so at each reload anew."""
    anew, copied = {"rules.py", "sections.py", "document.py"}, set[tuple[str, str]]()

    def noted(section: Section, name: str) -> Any:
        value, field = object.__getattribute__(section, name), type(section).model_fields.get(name)
        if field and not isinstance(value, Section) and AT_START not in field.metadata:
            callers = {Path(frame.filename).name for frame in traceback.extract_stack(limit=12)}
            if not callers & anew:
                copied.add((type(section).__name__, name))
        return value

    settings.rules.write_text(yaml.safe_dump({**BASE, "verifier": VERIFIER}))
    monkeypatch.setattr(Section, "__getattribute__", noted, raising=False)
    runtime = Runtime(settings)
    runtime.management(_nothing)
    monkeypatch.undo()
    await runtime.close()
    assert copied == set()


async def _nothing() -> None:
    pass


# What was read once, at work


async def test_semcache_is_opened_closed_and_limited_by_a_reload(settings: Settings) -> None:
    runtime = Runtime(settings)
    trust.ensure_ca(settings.certs, runtime.rules.host_names(), environ={})
    transport = httpx.ASGITransport(runtime.management(_nothing))
    pair = {"key": "What is the capital of France?", "data": "Paris"}

    async def put(**section: Any) -> int:
        settings.rules.write_text(yaml.safe_dump({**BASE, "products": {"semcache": section}}))
        runtime.reload()
        return (await client.put("/semcache/v1/put", json=pair)).status_code

    async with httpx.AsyncClient(transport=transport, base_url="http://askonce.internal") as client:
        assert await put(open=False) == 401
        assert await put(open=True) == 200
        assert await put(open=False) == 401
        assert await put(open=True, max_request=9) == 413
    await runtime.close()


async def test_a_change_that_waits_for_the_next_start_changes_nothing_by_half(settings: Settings) -> None:
    runtime = Runtime(settings)
    trust.ensure_ca(settings.certs, runtime.rules.host_names(), environ={})
    settings.rules.write_text(yaml.safe_dump({**BASE, "manage": {"host": "cache.internal", "aliases": ["proxy"]}}))
    assert runtime.reload()
    assert not runtime.reload()
    manage = runtime.rules.config.manage
    assert (manage.host, manage.aliases) == ("askonce.internal", ("proxy",))
    await runtime.close()
