"""Finished calls as spans and measurements, as a receiver reads them."""

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from tests.support.otlp import Received, attributes, receiving
from tests.support.records import record
from tests.support.waiting import until

from askonce.accounting import Accounting, CallRecord
from askonce.accounting.telemetry import Telemetry, signals
from askonce.accounting.trace_context import join_trace
from askonce.call import Usage
from askonce.faults import Faults

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
MISS = record(
    model="gpt-4o-mini",
    seconds=1.5,
    decision_seconds=0.001,
    similarity=0.83,
    usage=Usage(14, 8),
    stored=True,
    key="ab" * 16,
    asked="ab" * 16,
    nearest="cd" * 16,
    probability=0.4,
    reuse="lasting",
    host="api.openai.com",
    temperature=0.5,
    ended=1_800_000_000.0,
)
HIT = replace(
    MISS, outcome="semantic", forwarded=False, stored=False, seconds=0.002, seconds_saved=1.498, money_saved=0.25
)


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> Iterator[Received]:
    with receiving() as received:
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "127.0.0.1")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", received.url)
        yield received


def export(*calls: CallRecord) -> Faults:
    faults = Faults()
    telemetry = Telemetry.asked_for("1.2", faults)
    assert telemetry
    for call in calls:
        telemetry.record(call, call.model)
    telemetry.close()
    return faults


def test_a_call_is_a_span_in_its_callers_trace(received: Received) -> None:
    joined = join_trace(CALLER, "vendor=1")
    export(replace(MISS, trace=joined))
    (span,) = received.spans
    assert (span.name, span.kind) == ("chat gpt-4o-mini", Span.SPAN_KIND_CLIENT)
    assert span.trace_id.hex() == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert (span.span_id.hex(), span.parent_span_id.hex()) == (joined.span_id, "00f067aa0ba902b7")
    assert span.trace_state == "vendor=1"
    assert span.end_time_unix_nano == 1_800_000_000 * 10**9
    assert span.end_time_unix_nano - span.start_time_unix_nano == 1_500_000_000
    assert span.status.code == Status.STATUS_CODE_UNSET
    assert attributes(span.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.usage.input_tokens": 14,
        "gen_ai.usage.output_tokens": 8,
        "server.address": "api.openai.com",
        "server.port": 443,
        "http.response.status_code": 200,
        "askonce.outcome": "miss",
        "askonce.rule": "openai-chat",
        "askonce.wire": "openai-chat",
        "askonce.call.key": "ab" * 16,
        "askonce.entry.key": "ab" * 16,
        "askonce.nearest.key": "cd" * 16,
        "askonce.similarity": 0.83,
        "askonce.probability": 0.4,
        "askonce.prompt.kind": "lasting",
        "askonce.decision.duration": 0.001,
        "askonce.forwarded": True,
        "askonce.stored": True,
    }
    assert received.resource["service.name"] == "askonce"
    assert received.resource["service.version"] == "1.2"


def test_a_hits_tokens_are_saved_and_not_used(received: Received) -> None:
    export(replace(HIT, trace=join_trace("")))
    (span,) = received.spans
    said = attributes(span.attributes)
    assert (said["askonce.outcome"], said["askonce.forwarded"]) == ("semantic", False)
    assert (said["askonce.saved.input_tokens"], said["askonce.saved.output_tokens"]) == (14, 8)
    assert (said["askonce.saved.duration"], said["askonce.saved.usd"]) == (1.498, 0.25)
    assert not [name for name in said if name.startswith("gen_ai.usage")]
    assert not span.parent_span_id


@pytest.mark.parametrize(("status", "error"), [(0, "no_response"), (429, "429"), (503, "503")])
def test_a_call_that_failed_says_so(received: Received, status: int, error: str) -> None:
    export(replace(MISS, status=status, trace=join_trace("")))
    (span,) = received.spans
    assert span.status.code == Status.STATUS_CODE_ERROR
    assert attributes(span.attributes)["error.type"] == error


def test_who_does_not_sample_is_not_sampled(received: Received) -> None:
    export(replace(MISS, trace=join_trace(CALLER[:-1] + "0")))
    assert received.spans == []
    assert received.metrics


def test_a_refusal_that_no_exchange_timed_is_exported_beside_a_call(received: Received) -> None:
    begun = time.time()
    refused = record(outcome="error", upstream="gateway", model="", status=401, seconds=0.001, forwarded=False)
    export(refused, MISS)
    spans = {attributes(span.attributes)["askonce.rule"]: span for span in received.spans}
    assert spans.keys() == {"gateway", "openai-chat"}
    assert int(begun * 1e9) <= spans["gateway"].end_time_unix_nano <= int(time.time() * 1e9)


def test_measurements(received: Received) -> None:
    export(MISS, replace(MISS, seconds=3.0), HIT)
    duration = received.metrics["gen_ai.client.operation.duration"]
    assert duration.unit == "s"
    points = {attributes(point.attributes)["askonce.outcome"]: point for point in duration.histogram.data_points}
    assert (points["miss"].count, points["miss"].sum, points["semantic"].count) == (2, 4.5, 1)
    assert list(points["miss"].explicit_bounds)[:3] == [0.01, 0.02, 0.04]
    usage = received.metrics["gen_ai.client.token.usage"].histogram.data_points
    used = {attributes(point.attributes)["gen_ai.token.type"]: point.sum for point in usage}
    assert used == {"input": 28, "output": 16}
    assert list(usage[0].explicit_bounds)[-1] == 67108864
    saved = received.metrics["askonce.saved.tokens"].sum.data_points
    assert sorted(point.as_int for point in saved) == [8, 14]
    (usd,) = received.metrics["askonce.saved.usd"].sum.data_points
    assert usd.as_double == 0.25
    assert attributes(usd.attributes)["gen_ai.provider.name"] == "openai"


def test_the_usual_variables_hold(received: Received, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "our-cache")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    export(replace(MISS, trace=join_trace("")))
    assert received.resource["service.name"] == "our-cache"
    assert received.resource["deployment.environment"] == "test"
    assert (received.headers[0]["x-key"], received.headers[0]["content-encoding"]) == ("secret", "gzip")
    assert received.metrics == {}


@pytest.mark.parametrize(
    ("host", "rule", "provider"),
    [
        ("api.openai.com", "a", "openai"),
        ("my.openai.azure.com", "a", "azure.ai.openai"),
        ("bedrock-runtime.eu-west-1.amazonaws.com", "a", "aws.bedrock"),
        ("europe-west1-aiplatform.googleapis.com", "a", "gcp.vertex_ai"),
        ("generativelanguage.googleapis.com", "a", "gcp.gemini"),
        ("api.mistral.ai", "a", "mistral_ai"),
        ("llm.corp.example", "house-model", "house-model"),
    ],
)
def test_providers_have_the_names_of_the_conventions(received: Received, host: str, rule: str, provider: str) -> None:
    export(replace(MISS, host=host, upstream=rule, trace=join_trace("")))
    assert attributes(received.spans[0].attributes)["gen_ai.provider.name"] == provider


# Whether it is asked for


@pytest.mark.parametrize(
    ("environ", "asked"),
    [
        ({}, set()),
        ({"OTEL_SERVICE_NAME": "a"}, set()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h"}, {"traces", "metrics"}),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://h"}, {"traces"}),
        ({"OTEL_METRICS_EXPORTER": "otlp"}, {"metrics"}),
        ({"OTEL_TRACES_EXPORTER": "console, otlp"}, {"traces"}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h", "OTEL_TRACES_EXPORTER": "none"}, {"metrics"}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h", "OTEL_SDK_DISABLED": "TRUE"}, set()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, set()),
    ],
)
def test_what_the_environment_asks_for(environ: dict[str, str], asked: set[str]) -> None:
    assert signals(environ) == asked
    if not asked:
        assert Telemetry.asked_for("1", Faults(), environ) is None


def test_nothing_is_imported_where_nothing_is_asked_for() -> None:
    code = (
        "import sys, askonce.runtime\n"  # FastAPI imports the API where it finds it
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("missing", ["opentelemetry", "opentelemetry.sdk"])
def test_without_the_packages_nothing_is_made(
    missing: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    assert Telemetry.asked_for("1", Faults(), {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h"}) is None
    (line,) = caplog.messages
    assert "askonce[otel] is not installed" in line


def test_packages_that_are_not_there_are_one_line(caplog: pytest.LogCaptureFixture) -> None:
    def load() -> None:
        raise ImportError("No module named 'opentelemetry'")

    telemetry = Telemetry(load, Faults())  # type: ignore[arg-type]
    telemetry.record(MISS, "m")
    with caplog.at_level(logging.WARNING):
        telemetry.close()
    (line,) = caplog.messages
    assert "askonce[otel] is not installed (No module named 'opentelemetry')" in line


def test_a_receiver_that_is_not_there_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    counted, go = list[str](), threading.Event()

    class Stuck:
        def add(self, call: CallRecord, model: str) -> None:
            go.wait()

        def close(self) -> None:
            pass

    telemetry = Telemetry(Stuck, Faults(counted.append))  # type: ignore[arg-type]
    for _ in range(5000):
        telemetry.record(MISS, "m")
    go.set()
    telemetry.close()
    assert set(counted) == {"telemetry"}


def test_a_fault_of_an_exporter_is_counted() -> None:
    counted = list[str]()

    class Broken:
        def add(self, call: CallRecord, model: str) -> None:
            raise RuntimeError("no")

        def close(self) -> None:
            pass

    telemetry = Telemetry(Broken, Faults(counted.append))  # type: ignore[arg-type]
    telemetry.record(MISS, "m")
    until(lambda: counted == ["telemetry"])
    telemetry.close()


def test_accounting_tells_of_each_call_with_a_bounded_model() -> None:
    told = list[str]()
    accounting = Accounting()
    accounting.listeners.append(lambda call, model: told.append(model))
    for number in range(150):
        accounting.record(replace(MISS, model=f"m{number}"))
    assert len(set(told)) == 101
    assert told[-1] == "other"
