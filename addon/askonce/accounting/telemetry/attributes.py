"""What is said of a call in OpenTelemetry: by the names of the GenAI semantic conventions (1.37 and later, those with
`gen_ai.provider.name`), and by `askonce.*` for what a cache decides.

One rule: no prompt, no answer and no credential is in any of it.
"""

from collections.abc import Iterator

from askonce.accounting import CallRecord

__all__ = ["Attributes", "error_type", "of_metric", "of_span", "span_name"]

type Attributes = dict[str, str | int | float | bool]

_OPERATIONS = {
    "gemini": "generate_content",
    "generic": "generic",
    "openai-completions": "text_completion",
    "openai-embeddings": "embeddings",
}
"""By wire format; all others are `chat`."""
_PROVIDERS = (
    ("anthropic", "api.anthropic.com"),
    ("aws.bedrock", ".amazonaws.com"),
    ("azure.ai.inference", ".services.ai.azure.com"),
    ("azure.ai.inference", ".models.ai.azure.com"),
    ("azure.ai.openai", ".openai.azure.com"),
    ("cohere", ".cohere.com"),
    ("cohere", ".cohere.ai"),
    ("deepseek", "api.deepseek.com"),
    ("gcp.gemini", "generativelanguage.googleapis.com"),
    ("gcp.vertex_ai", "aiplatform.googleapis.com"),
    ("groq", "api.groq.com"),
    ("mistral_ai", ".mistral.ai"),
    ("openai", "api.openai.com"),
    ("perplexity", "api.perplexity.ai"),
    ("x_ai", "api.x.ai"),
)
"""The conventions' well-known values, and what a host's name ends with; of any other host it is the rule's name."""


def span_name(call: CallRecord) -> str:
    operation = _operation(call)
    return f"{operation} {call.model}" if call.model else operation


def error_type(call: CallRecord) -> str:
    """Empty for a call whose app got a good answer."""
    if call.status == 0:
        return "no_response"
    return str(call.status) if call.status >= 400 else ""


def of_metric(call: CallRecord, model: str) -> Attributes:
    """Few values each: `model` is bounded by who counts."""
    return _known(
        {
            "gen_ai.operation.name": _operation(call),
            "gen_ai.provider.name": _provider(call),
            "gen_ai.request.model": model,
            "server.address": call.host,
            "server.port": call.port if call.host else None,
            "error.type": error_type(call),
            "askonce.outcome": call.outcome,
            "askonce.rule": call.upstream,
        }
    )


def of_span(call: CallRecord) -> Attributes:
    """All that is known of a call."""
    return of_metric(call, call.model) | _known(
        {
            "http.response.status_code": call.status,
            "gen_ai.request.temperature": call.temperature,
            **dict(_tokens(call)),
            "askonce.wire": call.wire,
            "askonce.detail": call.detail,
            "askonce.call.key": call.asked,
            "askonce.entry.key": call.key,
            "askonce.nearest.key": call.nearest,
            "askonce.similarity": call.similarity,
            "askonce.probability": call.probability,
            "askonce.prompt.kind": call.reuse,
            "askonce.decision.duration": call.decision_seconds,
            "askonce.forwarded": call.forwarded,
            "askonce.stored": call.stored,
            "askonce.unkept": call.unkept,
        }
    )


def _tokens(call: CallRecord) -> Iterator[tuple[str, int | float | None]]:
    """`gen_ai.usage.*` is what was paid for; a hit's tokens were not."""
    usage = call.usage
    if call.hit:
        yield "askonce.saved.input_tokens", usage.input_tokens
        yield "askonce.saved.output_tokens", usage.output_tokens
        yield "askonce.saved.duration", call.seconds_saved
        yield "askonce.saved.usd", call.money_saved
    elif usage.input_tokens or usage.output_tokens:
        yield "gen_ai.usage.input_tokens", usage.input_tokens
        yield "gen_ai.usage.output_tokens", usage.output_tokens


def _operation(call: CallRecord) -> str:
    return _OPERATIONS.get(call.wire, "chat")


def _provider(call: CallRecord) -> str:
    host = call.host.lower()
    return next((name for name, ending in _PROVIDERS if host.endswith(ending)), call.upstream)


def _known(attributes: dict[str, str | int | float | bool | None]) -> Attributes:
    return {name: value for name, value in attributes.items() if value is not None and value != ""}
