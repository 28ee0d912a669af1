"""The credentials of calls to our own address: whose they are, and the operator's in place of the caller's.

One rule: what a caller brings for a provider goes to that provider alone; what is ours goes no further. Beside the
operator's key nothing goes that says who asks.
"""

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Literal

from askonce.call import Request
from askonce.credentials import bearer_token, bears_key, names_caller
from askonce.rules.sections import Section

__all__ = ["KeyName", "KeyOf", "ProviderKeys", "ProviderName", "as_operator", "with_key", "without_ours"]

ProviderName = Literal["openai", "anthropic", "google", "mistral"]
KeyName = Literal[ProviderName, "voyage"]
"""Whose keys there may be; Voyage is asked for vectors alone."""
KeyOf = Callable[[KeyName], str | None]
"""The operator's key at a provider, as rules.yaml says now; None where it says none."""

_SENT = frozenset(
    """
    accept accept-encoding accept-language content-type idempotency-key traceparent tracestate user-agent
    x-client-request-id x-request-id
    """.split()  # noqa: SIM905  # reads better than ten quoted names
)
"""The headers of a caller that go with a call of the operator's: how to read it, how to answer it, what to call it."""
_SENT_PREFIX = "x-stainless-"


class ProviderKeys(Section):
    """Keys that are sent where a call to our own address brings none; by default such a call goes without."""

    openai: str | None = None
    anthropic: str | None = None
    google: str | None = None
    mistral: str | None = None
    voyage: str | None = None

    def of(self, name: KeyName) -> str | None:
        """One of them; None where it is not set."""
        key: str | None = getattr(self, name)
        return key


def without_ours(request: Request, is_ours: Callable[[str], bool]) -> Request:
    """The request without what opens Askonce itself, which no provider may see."""
    dropped = {"x-cachecore-token"} & request.headers.keys()
    if (token := bearer_token(request.headers)) and is_ours(token):
        dropped.add("authorization")
    if (key := request.headers.get("x-api-key")) and is_ours(key):
        dropped.add("x-api-key")
    if not dropped:
        return request
    return replace(request, headers={name: value for name, value in request.headers.items() if name not in dropped})


def with_key(request: Request, provider: ProviderName, key: str | None) -> Request:
    """The request with `key`, where there is one and the caller brings none."""
    if key is None or bears_key(request.headers, request.query):
        return request
    return replace(request, headers={**request.headers, **_field(provider, key)})


def as_operator(request: Request, provider: ProviderName, key: str, choosing: Collection[str] = ()) -> Request:
    """The request as one of the operator's: with his key, and of the caller's headers those alone that are known to be
    needed, or that the provider's rule says choose the answer."""
    headers = {
        name: value
        for name, value in request.headers.items()
        if name in _SENT or name.startswith(_SENT_PREFIX) or (name in choosing and not names_caller(name))
    }
    return replace(request, query="", headers=headers | _field(provider, key))


def _field(provider: ProviderName, key: str) -> dict[str, str]:
    match provider:
        case "anthropic":
            return {"x-api-key": key}
        case "google":
            return {"x-goog-api-key": key}
        case _:
            return {"authorization": f"Bearer {key}"}
