"""Calls in their app's traces: what the provider is told, and what a receiver is sent."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import httpx
from tests.support.otlp import attributes, receiving
from tests.support.waiting import PATIENCE, until

if TYPE_CHECKING:
    from tests.e2e.conftest import Provider, StartProxy

URL = "https://api.openai.com/v1/chat/completions"
TRACE, APP = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "What is the capital of France?"}]}


def test_a_call_joins_its_apps_trace_and_so_does_the_provider(
    start_proxy: StartProxy, provider: Provider, api_key: str
) -> None:
    with receiving() as received:
        often = {"OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_METRIC_EXPORT_INTERVAL": "50"}
        proxy = start_proxy(environment={"OTEL_EXPORTER_OTLP_ENDPOINT": received.url, **often})
        trusting = ssl.create_default_context(cafile=str(proxy.bundle))
        headers = {"authorization": f"Bearer {api_key}", "traceparent": f"00-{TRACE}-{APP}-01", "tracestate": "app=1"}
        with httpx.Client(proxy=proxy.url, verify=trusting, trust_env=False, timeout=PATIENCE) as app:
            missed = app.post(URL, json=BODY, headers=headers)
            proxy.settle()
            hit = app.post(URL, json=BODY, headers=headers)
            bare = app.post(URL, json=BODY, headers={"authorization": headers["authorization"] + "2"})
        told = [dict(request["headers"]) for request in provider.stats()["requests"]]
        until(lambda: len(received.spans) == 3 and "askonce.saved.tokens" in received.metrics)
    assert (missed.status_code, hit.status_code, bare.status_code) == (200, 200, 200)
    spans = {attributes(span.attributes)["askonce.outcome"]: span for span in received.spans if span.parent_span_id}
    assert {span.trace_id.hex() for span in spans.values()} == {TRACE}
    assert {span.parent_span_id.hex() for span in spans.values()} == {APP}
    assert told[0]["traceparent"] == f"00-{TRACE}-{spans['miss'].span_id.hex()}-01"
    assert told[0]["tracestate"] == "app=1"
    assert "traceparent" not in told[1]
    said = attributes(spans["exact"].attributes)
    assert said["askonce.call.key"] == hit.headers["x-askonce-call"] == hit.headers["x-cache-key"]
    assert said["askonce.saved.output_tokens"] > 0
    assert spans["miss"].start_time_unix_nano < spans["exact"].start_time_unix_nano
