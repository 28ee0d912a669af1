"""Which of a request's headers belong to what is asked.

One rule: what is not known counts. A header says who asks (`credentials.py`), or is known here to change no answer, or
belongs to the identity; a rule may say otherwise of those that say nothing of the caller.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from askonce.credentials import names_caller
from askonce.rules.dependencies import HEADER

__all__ = ["OURS", "HeaderRule", "is_harmless"]

OURS = frozenset(
    {
        "cache-control",
        "x-cache-namespace",
        HEADER,
        "x-cachecore-deps",
        "x-llm-proxy-prompt",
        "x-llm-prompt",
        "x-llm-proxy-upstream",
        "x-llm-proxy-host",
    }
)
"""Request headers meant for Askonce; no provider sees them."""
_HARMLESS = (
    # The connection, and how a body travels: RFC 9110 sections 7.6, 8.4, 8.6 and 10.1.1, RFC 9112, RFC 9530
    "connection content-digest content-encoding content-length content-md5 content-type date digest expect host",
    "http2-settings keep-alive max-forwards proxy-connection repr-digest te trailer transfer-encoding upgrade",
    # Negotiation, RFC 9110 section 12.5: a hit is written as its body asks; `generic` counts what it does not write
    "accept accept-charset accept-encoding accept-language priority pragma user-agent",
    # The way that a request took: RFC 7239, RFC 9110 section 7.6.3, RFC 8586, Cloudflare's "HTTP headers", Envoy's
    "cdn-loop cf-connecting-ip cf-connecting-ipv6 cf-ipcountry cf-ray cf-visitor forwarded true-client-ip via",
    "x-client-ip x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto x-forwarded-server x-real-ip",
    "x-envoy-attempt-count x-envoy-expected-rq-timeout-ms x-envoy-external-address x-envoy-peer-metadata-id",
    # Browsers: the Fetch standard, Fetch Metadata, Client Hints; and OpenRouter's "App attribution"
    "dnt origin referer save-data sec-ch-* sec-fetch-* sec-gpc sec-purpose upgrade-insecure-requests x-requested-with",
    "http-referer x-openrouter-categories x-openrouter-title x-title",
    # Tracing: W3C Trace Context and Baggage, Zipkin's B3, Jaeger, OpenTracing, Google Cloud, AWS X-Ray, Sentry,
    # Datadog, New Relic, Elastic APM, Instana; and the ids of requests: OpenAI's "Debugging requests", Azure's
    # "API guidelines"
    "b3 baggage elastic-apm-traceparent newrelic ot-tracer-* sentry-trace traceparent tracestate uber-trace-id",
    "uberctx-* x-amzn-trace-id x-b3-* x-cloud-trace-context x-datadog-* x-instana-*",
    "correlation-id request-id x-client-request-id x-correlation-id x-ms-client-request-id",
    "x-ms-return-client-request-id x-request-id x-trace-id",
    # SDKs on themselves: Stainless (OpenAI, Anthropic, Groq, Together, …), google-api-core and google-genai, Fern
    # (Cohere), Ollama, Azure's core, botocore; and what lets a provider see that a call is a repeated one
    "anthropic-dangerous-direct-browser-access x-client-name x-fern-* x-goog-api-client x-server-timeout x-stainless-*",
    "amz-sdk-invocation-id amz-sdk-request idempotency-key x-idempotency-key x-ms-useragent",
    # AWS Signature Version 4: what is signed is the call, and who signed it stands in Authorization
    "x-amz-content-sha256 x-amz-date x-amz-user-agent",
)
_NAMES = frozenset(name for names in _HARMLESS for name in names.split() if not name.endswith("*")) | OURS
_PREFIXES = tuple(name[:-1] for names in _HARMLESS for name in names.split() if name.endswith("*"))


def is_harmless(header: str) -> bool:
    """Whether a header (its name in lower case) is known to change no answer."""
    return header in _NAMES or header.startswith(_PREFIXES)


@dataclass(frozen=True, slots=True)
class HeaderRule:
    """What a rule says about headers, by their names in lower case."""

    choosing: frozenset[str] = frozenset()
    """These choose the answer, whatever else is known of them."""
    ignored: frozenset[str] = frozenset()
    """These do not, though nothing is known of them here."""

    def choices(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers that belong to what is asked; in most calls none."""
        return {name: _compared(name, headers[name]) for name in _chosen(tuple(headers), self.choosing, self.ignored)}


@lru_cache(maxsize=128)
def _chosen(headers: tuple[str, ...], choosing: frozenset[str], ignored: frozenset[str]) -> tuple[str, ...]:
    """Those that choose the answer. An app's requests have the same headers, one after the other."""
    return tuple(
        name for name in headers if name in choosing or not (name in ignored or is_harmless(name) or names_caller(name))
    )


def _compared(name: str, value: str) -> str:
    """A value as it is compared: the features of `anthropic-beta`, `openai-beta` and the like have no order."""
    if not name.endswith("-beta"):
        return value
    return ",".join(sorted({feature.strip() for feature in value.split(",")}))
