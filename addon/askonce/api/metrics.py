"""What `/metrics` says: our own families, and those that dashboards of three products query.

The rule: nothing is counted here. Every sample is a projection of the accounting's table or of the cache's own
figures, made when it is asked for.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar as Sample
from starlette.responses import Response

from askonce.accounting import BUCKETS, Accounting, Exemplar, Tally
from askonce.api.vital_signs import resident_kilobytes
from askonce.cache import Cache

__all__ = ["IN_DOCUMENT", "Exposition"]

TEXT = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus' text format."""
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
"""Has exemplars, and none of Semcache's counters: their names are such as it forbids."""

IN_DOCUMENT: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
"""What the OpenAPI document says of it; a `response_class` would be taken for that of errors as well."""

_LE = [*map(str, BUCKETS), "+Inf"]
_SAVED: tuple[tuple[str, str, Callable[[Tally], float]], ...] = (
    ("askonce_saved_seconds_total", "Providers' time that hits saved", lambda sums: sums.seconds_saved),
    ("askonce_saved_usd_total", "US dollars that hits saved", lambda sums: sums.money_saved),
    (
        "askonce_saved_tokens_unpriced_total",
        "Tokens that hits saved of models whose price is not known",
        lambda sums: sums.unpriced_tokens,
    ),
)


class Exposition(Collector):
    """Renders the metrics of one proxy."""

    def __init__(
        self, counts: Callable[[], Awaitable[Accounting]], cache: Cache, version: str, families: Sequence[str] = ()
    ) -> None:
        """`families` are beginnings of names; without any, all are rendered, and the process's own."""
        self._counts = counts
        self._accounting: Accounting
        self._cache = cache
        self._version = version
        self._families = tuple(families)
        self._registry = CollectorRegistry()
        if not families:
            ProcessCollector(registry=self._registry)
        self._registry.register(self)

    async def response(self, accept: str) -> Response:
        """All families, as OpenMetrics for whoever names it in `Accept`, and else as text."""
        self._accounting = await self._counts()
        if "application/openmetrics-text" in accept:
            rendered = openmetrics.generate_latest(self._registry)  # type: ignore[no-untyped-call]
            return Response(rendered, headers={"content-type": OPENMETRICS})
        return Response(self._render(), headers={"content-type": TEXT})

    def _render(self) -> bytes:
        rendered = generate_latest(self._registry)
        return rendered + self._semcache_counters() if self._shows("semcache_") else rendered

    def _shows(self, family: str) -> bool:
        return not self._families or family.startswith(self._families)

    def collect(self) -> Iterable[Metric]:
        for family in (self._askonce, self._promptcache, self._semcache, self._gateway):
            for metric in family():
                if self._shows(metric.name):
                    yield metric

    def _askonce(self) -> Iterator[Metric]:
        table, stats = self._accounting, self._cache.stats()
        yield _gauge("askonce_build_info", "The version that runs, as a label", [((self._version,), 1)], "version")
        yield _counter(
            "askonce_requests_total",
            "Calls to providers, by what became of them",
            _calls(table.sums(lambda row: (row.upstream, row.wire, row.model, row.outcome))),
            "upstream",
            "wire",
            "model",
            "outcome",
        )
        yield _counter(
            "askonce_provider_calls_total",
            "Calls that went to a provider, by what it made of them",
            _calls(table.sums(lambda row: (row.upstream, row.provider_result), lambda row: bool(row.provider_result))),
            "upstream",
            "result",
        )
        yield _gauge("askonce_requests_in_flight", "Calls that are not over yet", [((), table.in_flight)])
        yield _histogram(
            "askonce_request_seconds",
            "From a call's last byte to its answer's last byte",
            (
                (labels, sums.buckets, sums.seconds, sums.exemplars)
                for labels, sums in table.sums(lambda r: (r.upstream, r.outcome)).items()
            ),
            "upstream",
            "outcome",
        )
        yield _histogram(
            "askonce_decision_seconds",
            "Reading a call, identifying it and looking it up",
            (
                ((outcome,), sums.decision_buckets, sums.decision_seconds)
                for outcome, sums in table.sums(lambda row: row.outcome).items()
            ),
            "outcome",
        )
        yield from self._savings()
        yield _counter("askonce_stored_total", "Answers that were remembered", [((), table.totals().all.stored)])
        yield _counter(
            "askonce_bypass_total",
            "Calls that may not be answered from the cache, by reason",
            _calls(table.sums(lambda row: (row.detail,), lambda row: row.outcome == "bypass")),
            "detail",
        )
        yield from self._watched()
        yield _counter(
            "askonce_reuse_total",
            "Calls for which another wording's answer was looked for, by whether their own may be given again",
            _calls(table.sums(lambda row: (row.reuse,), lambda row: bool(row.reuse))),
            "kind",
        )
        yield _counter(
            "askonce_faults_total",
            "Failures inside Askonce, each a miss to the app",
            [((kind,), count) for kind, count in table.faults().items()],
            "kind",
        )
        yield _counter(
            "askonce_turned_away_total",
            "Connections and calls that were not let in, or not where they were to go",
            [((why,), count) for why, count in table.turned_away().items()],
            "why",
        )
        yield _counter(
            "askonce_personal_data_total",
            "Answers that were not kept because of personal data in them, or in what was asked",
            [((kind,), count) for kind, count in table.personal_data().items()],
            "kind",
        )
        yield _counter(
            "askonce_store_requests_total",
            "Requests to the stores that products' clients fill themselves, by what became of them",
            [((*row,), tally.calls) for row, tally in table.store_sums(lambda row: row).items()],
            "product",
            "operation",
            "outcome",
        )
        yield _histogram(
            "askonce_store_request_seconds",
            "What such a request took",
            (
                (labels, sums.buckets, sums.seconds)
                for labels, sums in table.store_sums(lambda row: (row.product, row.operation)).items()
            ),
            "product",
            "operation",
        )
        yield _gauge("askonce_cache_entries", "Remembered answers", [((), stats["entries"])])
        yield _gauge("askonce_cache_bytes", "Size of the store", [((), stats["bytes"])])
        yield _gauge("askonce_cache_memory_bytes", "Entries held in memory", [((), stats["memory_bytes"])])
        yield _gauge("askonce_cache_index_bytes", "Vectors held in memory", [((), stats["index_bytes"])])
        yield _counter("askonce_cache_evicted_total", "Entries that had to make room", [((), stats["evicted"])])
        over = [((), stats["evicted_over_share"])]
        yield _counter("askonce_cache_evicted_over_share_total", "Those of a caller beyond max_share", over)

    def _watched(self) -> Iterator[Metric]:
        """What would have been served under `match: watch`."""
        rows = [
            ((upstream, outcome), calls)
            for upstream, outcomes in self._accounting.watched().items()
            for outcome, calls in outcomes.items()
        ]
        yield _counter(
            "askonce_watched_total",
            "Calls that would have been hits under match: watch, by what the provider said beside the stored answer",
            [
                ((*labels, answer), count)
                for labels, calls in rows
                for answer, count in (
                    ("same", calls["agreed"]),
                    ("different", calls["differed"]),
                    ("unknown", calls["unclear"]),
                )
            ],
            "upstream",
            "outcome",
            "answer",
        )
        yield _counter(
            "askonce_watched_tokens_total",
            "Tokens that these hits would have saved",
            [
                ((*labels, direction), count)
                for labels, calls in rows
                for direction, count in (("input", calls["tokens"]["input"]), ("output", calls["tokens"]["output"]))
            ],
            "upstream",
            "outcome",
            "direction",
        )
        names = ("upstream", "outcome")
        seconds = [(labels, calls["seconds"]) for labels, calls in rows]
        yield _counter("askonce_watched_seconds_total", "Providers' time that they would have saved", seconds, *names)
        usd = [(labels, calls["usd"]) for labels, calls in rows]
        yield _counter("askonce_watched_usd_total", "US dollars that they would have saved", usd, *names)

    def _savings(self) -> Iterator[Metric]:
        """What calls cost and hits saved, by rule and model."""
        tokens = self._accounting.sums(lambda row: (row.upstream, row.model, "cache" if row.hit else "provider"))
        yield _counter(
            "askonce_tokens_total",
            "Tokens of answers: those the provider was paid for, and those that came from the cache",
            [
                sample
                for labels, sums in tokens.items()
                for sample in [((*labels, "input"), sums.input_tokens), ((*labels, "output"), sums.output_tokens)]
            ],
            "upstream",
            "model",
            "source",
            "direction",
        )
        saved = self._accounting.sums(lambda row: (row.upstream, row.model), lambda row: row.hit)
        for name, text, of in _SAVED:
            yield _counter(name, text, [(labels, of(sums)) for labels, sums in saved.items()], "upstream", "model")

    def _promptcache(self) -> Iterator[Metric]:
        totals, stored = self._accounting.totals(), self._cache.stats()["entries"]
        average = round(1000 * totals.avg_seconds, 3)
        for name, text, value in (
            ("cache_hits", "Total number of cache hits", totals.hits),
            ("cache_misses", "Total number of cache misses", totals.misses),
            ("cache_gray_zone", "Lookups that a judge decided", totals.all.judged),
            ("requests", "Total number of requests", totals.all.calls),
            ("requests_failed", "Requests without a good response", totals.failed),
            ("provider_calls", "Calls that went to a provider", totals.asked),
            ("provider_errors", "Calls that a provider did not answer well", totals.refused),
        ):
            yield _counter(f"promptcache_{name}_total", text, [((), value)])
        yield _gauge("promptcache_stored_vectors", "Number of remembered prompts", [((), stored)])
        yield _gauge("promptcache_latency_avg_ms", "Mean request latency in milliseconds", [((), average)])
        yield _histogram(
            "promptcache_request_latency_seconds",
            "Request latency histogram",
            [((), totals.all.buckets, totals.all.seconds)],
        )

    def _semcache(self) -> Iterator[Metric]:
        rows = self._accounting.sums(
            lambda row: (row.method, row.endpoint, str(row.status), "hit" if row.hit else "miss")
        )
        yield _histogram(
            "semcache_chat_completion_http_requests",
            "Chat completion requests, in seconds",
            ((labels, sums.buckets, sums.seconds) for labels, sums in rows.items()),
            "method",
            "path",
            "status",
            "cache_status",
        )
        yield _gauge("semcache_cache_size", "Entries in the cache", [((), self._cache.stats()["entries"])])
        if (kilobytes := resident_kilobytes()) is not None:
            yield _gauge("semcache_memory_usage", "Memory in use, in kilobytes", [((), kilobytes)])

    def _semcache_counters(self) -> bytes:
        # The library ends every counter's name in _total, and Semcache's dashboards query names without it.
        totals = self._accounting.totals()
        return (
            "# HELP semcache_cache_hit Cache hits\n# TYPE semcache_cache_hit counter\n"
            f"semcache_cache_hit {totals.hits}\n"
            "# HELP semcache_cache_miss Cache misses\n# TYPE semcache_cache_miss counter\n"
            f"semcache_cache_miss {totals.misses}\n"
        ).encode()

    def _gateway(self) -> Iterator[Metric]:
        table = self._accounting
        yield _counter(
            "gateway_requests_total",
            "Total number of requests",
            _calls(table.sums(lambda row: (row.method, row.endpoint, str(row.status), row.model, row.owner))),
            "method",
            "endpoint",
            "status",
            "model",
            "owner",
        )
        totals = table.totals()
        yield _histogram(
            "gateway_request_duration_seconds",
            "Request duration in seconds",
            [((), totals.all.buckets, totals.all.seconds)],
        )
        yield _counter(
            "gateway_cache_hits_total",
            "Total number of cache hits",
            [(("exact",), totals.exact), (("semantic",), totals.semantic)],
            "cache_type",
        )
        used = table.sums(lambda row: (row.upstream, row.model), lambda row: not row.hit)
        yield _counter(
            "gateway_tokens_used_total",
            "Total number of tokens used",
            [
                sample
                for (upstream, model), sums in used.items()
                for sample in [
                    ((upstream, model, "prompt"), sums.input_tokens),
                    ((upstream, model, "completion"), sums.output_tokens),
                ]
            ],
            "provider",
            "model",
            "type",
        )


_Sample = tuple[Sequence[str], float]


def _calls(sums: dict[tuple[str, ...], Tally]) -> list[_Sample]:
    return [(labels, tally.calls) for labels, tally in sums.items()]


def _counter(name: str, text: str, samples: Iterable[_Sample], *labels: str) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _gauge(name: str, text: str, samples: Iterable[_Sample], *labels: str) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _histogram(
    name: str,
    text: str,
    samples: Iterable[tuple[Sequence[str], Sequence[int], float, *tuple[Mapping[int, Exemplar], ...]]],
    *labels: str,
) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels)
    for values, buckets, total, *more in samples:
        exemplars = more[0] if more else {}
        counted = enumerate(zip(_LE, accumulate(buckets), strict=True))
        family.add_metric(values, [_bucket(le, count, exemplars.get(at)) for at, (le, count) in counted], total)
    return family


def _bucket(le: str, count: float, known: Exemplar | None) -> tuple[str, float] | tuple[str, float, Sample]:
    if known is None:
        return le, count
    named = {"trace_id": known.trace_id, "key": known.key}
    labels = {name: value for name, value in named.items() if value}
    return le, count, Sample(labels, known.seconds, known.ended)
