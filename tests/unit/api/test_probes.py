import dataclasses
from datetime import UTC, datetime

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.records import record

from askonce.api.app import create_app
from askonce.call import Usage

MISS = record(
    detail="no entry",
    decision_seconds=0.002,
    usage=Usage(10, 40),
    stored=True,
    endpoint="/v1/chat/completions",
)
EXACT = dataclasses.replace(
    MISS, outcome="exact", detail="", seconds=0.2, similarity=1.0, seconds_saved=0.6, money_saved=0.003, stored=False
)
SEMANTIC = dataclasses.replace(EXACT, outcome="semantic", similarity=0.95)
BYPASS = dataclasses.replace(MISS, outcome="bypass", detail="no-store", status=502, stored=False, usage=Usage())


@pytest.fixture
def calls(accounting):
    for call in (MISS, EXACT, EXACT, SEMANTIC, BYPASS):
        accounting.record(call)
    accounting.fault("embedder")


async def test_health_has_the_fields_of_promptcache_and_of_the_gateway(client, accounting):
    accounting.record(MISS)
    accounting.record(dataclasses.replace(MISS, upstream="mistral", status=503))
    response = await client.get("/health")
    health = response.json()
    assert response.status_code == 200
    assert abs(datetime.fromisoformat(health.pop("time")) - datetime.now(UTC)).total_seconds() < 5
    assert health.pop("timestamp").endswith("Z")
    assert health == {
        "status": "healthy",
        "version": "1.2.3",
        "services": {
            "redis": "connected",
            "database": "connected",
            "providers": {"openai-chat": "available", "mistral": "unavailable"},
        },
    }


async def test_ready_and_alive(client):
    ready = await client.get("/health/ready")
    assert (ready.status_code, ready.json()) == (
        200,
        {"status": "ready", "ready": True, "checks": {"redis": True, "database": True, "config": True}},
    )
    live = await client.get("/health/live")
    assert (live.status_code, live.json()) == (200, {"status": "alive", "alive": True, "uptime": 0})


async def test_not_ready_says_why(connect):
    client = connect(ready=lambda: "storage not accessible")
    ready = await client.get("/health/ready")
    assert (ready.status_code, ready.json()) == (
        503,
        {
            "status": "not ready",
            "error": "storage not accessible",
            "ready": False,
            "checks": {"redis": False, "database": False, "config": True},
        },
    )
    health = await client.get("/health")
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    assert health.json()["services"]["database"] == "disconnected"
    assert (await client.get("/health/live")).status_code == 200


async def test_stats_carry_promptcaches_fields_flat_and_nested_beside_our_own(client, calls, remember):
    await remember("What is the capital of France?")
    stats = (await client.get("/v1/stats")).json()
    flat = {
        "cache_hits": 3,
        "cache_misses": 1,
        "cache_hit_rate": 0.75,
        "gray_zone_checks": 1,
        "total_requests": 5,
        "failed_requests": 1,
        "avg_latency_ms": 440.0,
        "stored_vectors": 1,
        "provider_calls": 2,
        "provider_errors": 1,
    }
    assert {name: stats[name] for name in flat} == flat
    assert stats["cache"] == {"hits": 3, "misses": 1, "gray_zone": 1, "hit_rate": 0.75, "stored_vectors": 1}
    assert stats["latency"] == {"avg_ms": 440.0, "request_count": 5}
    assert stats["requests"] == {"total": 5, "failed": 1}
    assert stats["provider"] == {"calls": 2, "errors": 1}

    assert stats["outcomes"] == {"exact": 2, "semantic": 1, "miss": 1, "bypass": 1, "error": 0}
    assert stats["tokens_saved"] == {"input": 30, "output": 120}
    assert stats["tokens_used"] == {"input": 10, "output": 40}
    assert stats["usd_saved"] == pytest.approx(0.009)
    assert stats["faults"] == {"embedder": 1}
    assert stats["latest"][0]["outcome"] == "bypass"


async def test_metrics_hold_the_families_of_all_products(client, calls, remember):
    await remember("What is the capital of France?")
    response = await client.get("/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name: family for family in text_string_to_metric_families(response.text)}
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families.values()
        for sample in family.samples
    }

    def value(name, **labels):
        return samples[(name, *sorted(labels.items()))]

    chat = {"upstream": "openai-chat", "wire": "openai-chat", "model": "gpt-4o"}
    saved = {"upstream": "openai-chat", "model": "gpt-4o"}
    assert value("askonce_build_info", version="1.2.3") == 1
    assert value("askonce_requests_total", outcome="exact", **chat) == 2
    assert value("askonce_requests_total", outcome="bypass", **chat) == 1
    assert value("askonce_requests_in_flight") == 0
    assert value("askonce_request_seconds_sum", upstream="openai-chat", outcome="exact") == pytest.approx(0.4)
    assert value("askonce_request_seconds_bucket", upstream="openai-chat", outcome="exact", le="0.1") == 0
    assert value("askonce_request_seconds_bucket", upstream="openai-chat", outcome="exact", le="0.25") == 2
    assert value("askonce_decision_seconds_count", outcome="miss") == 1
    assert value("askonce_tokens_total", direction="output", source="cache", **saved) == 120
    assert value("askonce_tokens_total", direction="input", source="provider", **saved) == 10
    assert value("askonce_saved_seconds_total", **saved) == pytest.approx(1.8)
    assert value("askonce_saved_usd_total", **saved) == pytest.approx(0.009)
    assert value("askonce_stored_total") == 1
    assert value("askonce_bypass_total", detail="no-store") == 1
    assert value("askonce_faults_total", kind="embedder") == 1
    assert value("askonce_cache_entries") == 1
    assert value("askonce_cache_bytes") > 0

    assert value("promptcache_cache_hits_total") == 3
    assert value("promptcache_cache_misses_total") == 1
    assert value("promptcache_cache_gray_zone_total") == 1
    assert value("promptcache_requests_total") == 5
    assert value("promptcache_requests_failed_total") == 1
    assert value("promptcache_provider_calls_total") == 2
    assert value("promptcache_provider_errors_total") == 1
    assert value("promptcache_stored_vectors") == 1
    assert value("promptcache_latency_avg_ms") == 440
    assert value("promptcache_request_latency_seconds_count") == 5
    assert value("promptcache_request_latency_seconds_sum") == pytest.approx(2.2)

    assert value("semcache_cache_size") == 1
    assert value("semcache_memory_usage") > 1000
    request = {"method": "POST", "path": "/v1/chat/completions", "cache_status": "hit", "status": "200"}
    assert value("semcache_chat_completion_http_requests_count", **request) == 3

    endpoint = {"method": "POST", "endpoint": "/v1/chat/completions", "model": "gpt-4o", "owner": ""}
    assert value("gateway_requests_total", status="200", **endpoint) == 4
    assert value("gateway_requests_total", status="502", **endpoint) == 1
    assert value("gateway_request_duration_seconds_count") == 5
    assert value("gateway_cache_hits_total", cache_type="exact") == 2
    assert value("gateway_cache_hits_total", cache_type="semantic") == 1
    tokens = {"provider": "openai-chat", "model": "gpt-4o"}
    assert value("gateway_tokens_used_total", type="completion", **tokens) == 40

    kinds = {name: family.type for name, family in families.items()}
    assert kinds["askonce_requests"] == kinds["promptcache_cache_hits"] == kinds["gateway_requests"] == "counter"
    assert kinds["promptcache_request_latency_seconds"] == kinds["askonce_decision_seconds"] == "histogram"


async def test_semcaches_counters_have_no_suffix(client, calls):
    lines = (await client.get("/metrics")).text.splitlines()
    assert "# TYPE semcache_cache_hit counter" in lines
    assert "semcache_cache_hit 3" in lines
    assert "semcache_cache_miss 1" in lines
    assert not [line for line in lines if line.startswith("semcache_cache_hit_total")]


async def test_metrics_of_an_idle_proxy_can_be_read(client):
    text = (await client.get("/metrics")).text
    assert "promptcache_requests_total 0.0" in text
    assert 'gateway_cache_hits_total{cache_type="exact"} 0.0' in text
    assert "semcache_cache_hit 0" in text


async def test_a_label_cannot_break_out_of_the_exposition(client, accounting):
    accounting.record(dataclasses.replace(MISS, model='evil"} 1\naskonce_fake 1'))
    text = (await client.get("/metrics")).text
    assert not [line for line in text.splitlines() if line.startswith("askonce_fake")]
    families = list(text_string_to_metric_families(text))
    models = {sample.labels.get("model") for family in families for sample in family.samples}
    assert 'evil"} 1\naskonce_fake 1' in models


async def test_metrics_count_what_would_have_been_served(client, accounting):
    watched = {"detail": "watched", "watched": "semantic", "money_watched": 0.5}
    accounting.record(dataclasses.replace(MISS, agreed="same", **watched))
    accounting.record(dataclasses.replace(MISS, agreed="unknown", **watched))
    lines = (await client.get("/metrics")).text.splitlines()
    for answer, count in (("same", 1.0), ("different", 0.0), ("unknown", 1.0)):
        labels = f'answer="{answer}",outcome="semantic",upstream="{MISS.upstream}"'
        assert f"askonce_watched_total{{{labels}}} {count}" in lines
    assert f'askonce_watched_usd_total{{outcome="semantic",upstream="{MISS.upstream}"}} 1.0' in lines
    assert not [line for line in lines if line.startswith("askonce_saved_usd_total{") and not line.endswith(" 0.0")]


async def test_metrics_count_what_clients_keep_themselves(client, accounting):
    with accounting.store_request("langcache", "search") as counted:
        counted.outcome = "miss"
    lines = (await client.get("/metrics")).text.splitlines()
    labels = 'operation="search",outcome="miss",product="langcache"'
    assert f"askonce_store_requests_total{{{labels}}} 1.0" in lines
    assert 'askonce_store_request_seconds_count{operation="search",product="langcache"} 1.0' in lines
    assert "promptcache_requests_total 0.0" in lines


async def test_the_token_or_a_gateways_key_opens_the_metrics_of_all(cache, accounting, connect):
    app = create_app(
        cache, accounting, token="t", version="1", ready=lambda: None, reload=None, is_key=lambda key: key == "sk-good"
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://askonce.internal") as client:
        for headers, status in (
            ({}, 401),
            ({"X-API-Key": "sk-revoked"}, 401),
            ({"X-API-Key": ""}, 401),
            ({"Authorization": "Bearer sk-revoked"}, 401),
            ({"X-API-Key": "sk-good"}, 200),
            ({"Authorization": "Bearer sk-good"}, 200),
            ({"Authorization": "Bearer t"}, 200),
            ({"Authorization": "Bearer t", "X-API-Key": "sk-revoked"}, 200),
        ):
            response = await client.get("/metrics", headers=headers)
            assert response.status_code == status, headers
            assert status == 200 or response.json() == {"error": "Unauthorized"}
        assert (await client.get("/v1/stats", headers={"X-API-Key": "sk-good"})).status_code == 401
    assert (await connect().get("/metrics")).status_code == 200
