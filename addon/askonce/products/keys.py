"""The credentials of calls to our own address: whose they are, and the operator's in place of none.

One rule: what a caller brings for a provider goes to that provider as it is; what is ours goes no further.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

from askonce.call import Request

__all__ = ["Provider", "bearer_token", "bears_key", "with_key", "without_ours"]

Provider = Literal["openai", "anthropic", "google", "mistral"]

_KEYS = ("authorization", "x-api-key", "api-key", "x-goog-api-key")


def bears_key(headers: Mapping[str, str]) -> bool:
    """Whether a request (names in lower case) says who is asking, in a way that no web page of another site can."""
    return any(headers.get(name) for name in _KEYS)


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


def bearer_token(headers: Mapping[str, str]) -> str | None:
    """What follows `Bearer` in `Authorization`; None without it."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" and token.strip() else None


def with_key(request: Request, provider: Provider, key: str | None) -> Request:
    """The request with `key`, where there is one and the caller brings none."""
    if key is None or bears_key(request.headers) or "key=" in request.query:
        return request
    if provider == "anthropic":
        field = {"x-api-key": key}
    elif provider == "google":
        field = {"x-goog-api-key": key}
    else:
        field = {"authorization": f"Bearer {key}"}
    return replace(request, headers={**request.headers, **field})
