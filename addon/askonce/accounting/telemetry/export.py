"""Spans and measurements out of finished calls, by OpenTelemetry's SDK, over OTLP. Imported only where it is asked for.

One rule: a span is made when its call is over, with the times and the name that the call had: the provider was told
that name as its parent while the call was on its way.
"""

import os

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from askonce.accounting import CallRecord
from askonce.accounting.telemetry.attributes import error_type, of_metric, of_span, span_name
from askonce.accounting.trace_context import TraceContext

__all__ = ["Exporter"]

_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS = tuple(4**power for power in range(14))
"""The conventions' own boundaries of buckets."""


class _Ids(RandomIdGenerator):
    """Gives the next span the name that its call had."""

    given: TraceContext | None = None

    def generate_span_id(self) -> int:
        return int(self.given.span_id, 16) if self.given else super().generate_span_id()

    def generate_trace_id(self) -> int:
        return int(self.given.trace_id, 16) if self.given else super().generate_trace_id()


class Exporter:
    """Turns calls into spans and measurements. Belongs to one thread."""

    def __init__(self, signals: frozenset[str], version: str) -> None:
        """`signals`: "traces", "metrics", or both. All else is said by the SDK's own variables."""
        named = {"service.name": "askonce", "service.version": version}
        if "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
            del named["service.name"]
        resource = Resource.create(named)
        self._traces = _Traces(resource, version) if "traces" in signals else None
        self._metrics = _Metrics(resource, version) if "metrics" in signals else None

    def add(self, call: CallRecord, model: str) -> None:
        """Make a finished call known; `model` is its model as a label of few values."""
        if self._traces:
            self._traces.add(call)
        if self._metrics:
            self._metrics.add(call, model)

    def close(self) -> None:
        """Send what waits."""
        for signal in (self._traces, self._metrics):
            if signal:
                signal.provider.shutdown()


class _Traces:
    def __init__(self, resource: Resource, version: str) -> None:
        self._ids = _Ids()
        self.provider = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        self.provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self.provider.get_tracer("askonce", version)

    def add(self, call: CallRecord) -> None:
        self._ids.given = call.trace
        ended = int(call.ended * 1e9)
        span = self._tracer.start_span(
            span_name(call),
            context=_parent(call.trace),
            kind=SpanKind.CLIENT,
            attributes=of_span(call),
            start_time=ended - int(call.seconds * 1e9),
        )
        if error := error_type(call):
            span.set_status(Status(StatusCode.ERROR, error))
        span.end(ended)


def _parent(joined: TraceContext | None) -> Context | None:
    if joined is None or not joined.parent_id:
        return None
    context = SpanContext(
        int(joined.trace_id, 16),
        int(joined.parent_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(int(joined.flags, 16)),
        trace_state=TraceState.from_header([joined.state]),
    )
    return trace.set_span_in_context(NonRecordingSpan(context))


class _Metrics:
    def __init__(self, resource: Resource, version: str) -> None:
        reader = PeriodicExportingMetricReader(OTLPMetricExporter())
        self.provider = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        meter = self.provider.get_meter("askonce", version)
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            "s",
            "GenAI operation duration",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._usage = meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Tokens that the provider was paid for",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )
        self._saved_tokens = meter.create_counter("askonce.saved.tokens", "{token}", "Tokens of answers from the cache")
        self._saved_usd = meter.create_counter("askonce.saved.usd", "{USD}", "US dollars that hits saved")
        self._saved_time = meter.create_counter("askonce.saved.duration", "s", "Providers' time that hits saved")

    def add(self, call: CallRecord, model: str) -> None:
        attributes, usage = of_metric(call, model), call.usage
        self._duration.record(call.seconds, attributes)
        for kind, tokens in (("input", usage.input_tokens), ("output", usage.output_tokens)):
            typed = attributes | {"gen_ai.token.type": kind}
            if call.hit:
                self._saved_tokens.add(tokens, typed)
            elif tokens:
                self._usage.record(tokens, typed)
        if call.hit:
            self._saved_time.add(call.seconds_saved, attributes)
            self._saved_usd.add(call.money_saved or 0.0, attributes)
