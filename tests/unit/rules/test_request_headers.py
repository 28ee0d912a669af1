"""Which headers belong to what is asked: those that choose the answer, and all that nobody knows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.credentials import names_caller
from askonce.rules.request_headers import OURS, HeaderRule, is_harmless

RULE = HeaderRule()
names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=20)


@pytest.mark.parametrize(
    "name",
    [
        "anthropic-beta",
        "anthropic-version",
        "azureml-model-deployment",
        "extra-parameters",
        "groq-model-version",
        "nvcf-input-asset-references",
        "openai-beta",
        "prefer",
        "range",
        "x-amzn-bedrock-guardrailidentifier",
        "x-amzn-bedrock-guardrailversion",
        "x-anthropic-beta",
        "x-goog-fieldmask",
        "x-http-method-override",
        "x-portkey-config",
        "x-request-idea",
        "x-routing-key",
        "x-stainles-lang",
        "whatever",
    ],
)
def test_what_chooses_the_answer_or_is_not_known_counts(name: str) -> None:
    assert RULE.choices({"accept": "*/*", name: "one"}) == {name: "one"}


@pytest.mark.parametrize(
    "name",
    [
        *sorted(OURS),
        "accept",
        "accept-encoding",
        "amz-sdk-invocation-id",
        "b3",
        "baggage",
        "cf-ray",
        "connection",
        "content-length",
        "content-type",
        "host",
        "idempotency-key",
        "sec-ch-ua-platform",
        "sec-fetch-mode",
        "sentry-trace",
        "traceparent",
        "tracestate",
        "user-agent",
        "x-amz-date",
        "x-b3-traceid",
        "x-client-request-id",
        "x-cloud-trace-context",
        "x-datadog-trace-id",
        "x-forwarded-for",
        "x-goog-api-client",
        "x-request-id",
        "x-stainless-retry-count",
    ],
)
def test_what_differs_from_call_to_call_and_changes_nothing_does_not(name: str) -> None:
    assert is_harmless(name)
    assert not names_caller(name)
    assert RULE.choices({name: "one"}) == {}


def test_who_asks_is_for_the_scope_to_say() -> None:
    assert RULE.choices({"authorization": "Bearer a", "cookie": "b", "x-user-id": "c", "x-corp-token": "d"}) == {}


def test_a_rule_has_the_last_word() -> None:
    rule = HeaderRule(frozenset({"user-agent", "x-user-id"}), frozenset({"x-run"}))
    headers = {"user-agent": "a", "x-user-id": "b", "x-run": "c", "x-other": "d", "accept": "e"}
    assert rule.choices(headers) == {"user-agent": "a", "x-user-id": "b", "x-other": "d"}
    both = HeaderRule(frozenset({"x-run"}), frozenset({"x-run"}))
    assert both.choices(headers)["x-run"] == "c"


def test_features_have_no_order() -> None:
    for name in ("anthropic-beta", "openai-beta", "x-anthropic-beta"):
        assert RULE.choices({name: "b, a"}) == RULE.choices({name: "a,b,a"}) != RULE.choices({name: "a"})
    assert RULE.choices({"x-list": "b, a"}) != RULE.choices({"x-list": "a, b"})


@given(names, st.text(max_size=5), st.text(max_size=5))
def test_no_header_is_lost(name: str, one: str, other: str) -> None:
    """Every header is known to be harmless, or says who asks, or counts, and then each value counts."""
    counts = RULE.choices({name: one}) != {}
    assert counts + is_harmless(name) + (names_caller(name) and not is_harmless(name)) == 1
    if counts and not name.endswith("-beta"):
        assert (RULE.choices({name: one}) == RULE.choices({name: other})) is (one == other)
