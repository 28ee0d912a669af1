"""The dashboard and the alert rules: each query is PromQL, and names series that `/metrics` has."""

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path

import promql_parser as promql
import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families
from tests.unit.api.test_probes import BYPASS, EXACT, MISS, SEMANTIC

from askonce.accounting.trace_context import join_trace

MONITORING = Path(__file__).parents[3] / "monitoring"
DASHBOARD = json.loads((MONITORING / "grafana-dashboard.json").read_text("utf-8"))
ALERTS = yaml.safe_load((MONITORING / "alerts.yaml").read_text("utf-8"))
VARIABLES = {"$__rate_interval": "5m", "$__range": "6h", "$rule": "openai.*"}
OF_PROMETHEUS = {"up"}
EVERY = [
    *(target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]),
    *(rule["expr"] for group in ALERTS["groups"] for rule in group["rules"]),
]


@pytest.fixture
def calls(accounting):
    traced = dataclasses.replace(MISS, asked="ab" * 16, ended=1_800_000_000.0, trace=join_trace(""), reuse="lasting")
    replaced = dataclasses.replace(EXACT, detail="stale-if-error", provider_failed=True)
    for call in (traced, EXACT, SEMANTIC, BYPASS, replaced, dataclasses.replace(MISS, status=503)):
        accounting.record(call)
    accounting.fault("embedder")
    accounting.turn_away("key")
    return traced


def selectors(node) -> Iterator[promql.VectorSelector]:
    if isinstance(node, promql.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "vector_selector", "vs", "param"):
        inner = getattr(node, name, None)
        if isinstance(inner, promql.Expr):
            yield from selectors(inner)
    for inner in getattr(node, "args", None) or ():
        yield from selectors(inner)


def fits(labels: dict[str, str], selector: promql.VectorSelector) -> bool:
    for matcher in selector.matchers.matchers:
        value, kind = labels.get(matcher.name, ""), str(matcher.op)
        is_like = re.fullmatch(matcher.value, value) is not None if "Re" in kind else value == matcher.value
        if is_like == ("Not" in kind):
            return False
    return True


@pytest.mark.parametrize("query", EVERY)
async def test_every_query_finds_series(client, calls, query):
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    found = list(selectors(promql.parse(query)))
    assert found
    text = (await client.get("/metrics")).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    for selector in found:
        series = [one for one in samples if one.name == selector.name and fits(one.labels, selector)]
        assert series or selector.name in OF_PROMETHEUS, selector.name
        grouped = set(re.findall(r"by \(([^)]*)\)", query))
        labels = {label.strip() for group in grouped for label in group.split(",")} - {"instance"}
        assert not series or "or" in query or any(labels & {*one.labels} for one in series) or not labels


async def test_what_is_shown_is_grouped_by_labels_that_there_are(client, calls):
    text = (await client.get("/metrics")).text
    known = {
        sample.name: {*sample.labels} for family in text_string_to_metric_families(text) for sample in family.samples
    }
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
                query = target["expr"]
                for name, value in VARIABLES.items():
                    query = query.replace(name, value)
                for selector in selectors(promql.parse(query)):
                    assert label in known[selector.name], (panel["title"], label)


def test_every_alert_says_what_it_means():
    for group in ALERTS["groups"]:
        for rule in group["rules"]:
            assert {"alert", "expr", "labels", "annotations"} <= {*rule}
            assert {*rule["annotations"]} == {"summary", "description"}


# OpenMetrics


async def test_openmetrics_has_exemplars_for_who_asks_for_it(client, calls):
    accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2"  # as Prometheus says
    response = await client.get("/metrics", headers={"accept": accept})
    assert response.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    families = {family.name: family for family in open_families(response.text)}
    (exemplar,) = [
        sample.exemplar
        for sample in families["askonce_request_seconds"].samples
        if sample.exemplar and sample.labels["outcome"] == "miss"
    ]
    assert exemplar.labels == {"trace_id": calls.trace.trace_id, "key": "ab" * 16}
    assert (exemplar.value, float(exemplar.timestamp)) == (0.8, 1_800_000_000.0)
    assert families["askonce_saved_usd"].type == "counter"
    assert "semcache_cache_hit" not in families


async def test_what_the_provider_made_of_calls(client, calls):
    text = (await client.get("/metrics")).text
    found = {
        sample.labels["result"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "askonce_provider_calls_total"
    }
    assert found == {"good": 1, "failed": 2, "replaced": 1}
