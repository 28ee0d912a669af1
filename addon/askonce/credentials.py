"""What in a request says who asks: by which names, whether it is a secret of ours, and the one caller that comes of it.

One rule: whoever has to know asks here, be it to tell callers apart or to send a call without them. A name that is not
known here stays with what is asked, which separates callers as well (see `request_headers.py`).
"""

import functools
import hmac
import json
from collections.abc import Mapping

__all__ = [
    "KEYS",
    "anonymous",
    "bearer_token",
    "bears_key",
    "credential",
    "is_key_parameter",
    "is_secret",
    "names_caller",
    "shown_in_header",
]

KEYS = ("authorization", "x-api-key", "api-key", "x-goog-api-key")
"""The headers in which providers take an API key, the first as a Bearer token."""

_KNOWN = frozenset(
    name
    for names in (
        # RFC 9110 sections 10.1.2 and 11.6 to 11.7, RFC 6265, RFC 9440, RFC 9449
        "authorization proxy-authorization cookie from client-cert client-cert-chain dpop",
        # The account that a key acts for: OpenAI, ChatGPT, Google, Hugging Face, Alibaba's Model Studio
        "openai-organization openai-project chatgpt-account-id x-goog-user-project x-hf-bill-to x-dashscope-workspace",
        # What a proxy that signs people in says of them: Cloudflare Access, Google IAP, AWS ALB, Azure App Service
        "cf-access-jwt-assertion cf-access-authenticated-user-email cf-access-client-id",
        "x-goog-iap-jwt-assertion x-goog-authenticated-user-email x-goog-authenticated-user-id",
        "x-amzn-oidc-data x-amzn-oidc-identity x-amzn-oidc-accesstoken x-amzn-mtls-clientcert",
        "x-ms-client-principal x-ms-client-principal-id x-ms-client-principal-idp x-ms-client-principal-name",
        # oauth2-proxy, Authelia, Kubernetes, Grafana, authentik, Kong, Tailscale, Envoy, Azure
        "x-forwarded-user x-forwarded-email x-forwarded-groups x-forwarded-preferred-username",
        "remote-user remote-name remote-email remote-groups x-remote-user x-remote-group x-webauth-user",
        "x-authentik-username x-authentik-email x-authentik-uid x-authentik-groups x-authentik-jwt",
        "x-consumer-id x-consumer-username x-consumer-custom-id x-credential-identifier x-authenticated-userid",
        "tailscale-user-login tailscale-user-name x-forwarded-client-cert x-ssl-client-cert x-arr-clientcert",
        # What apps call it themselves
        "x-user x-user-id x-userid x-user-name x-username x-user-email x-email x-account-id x-customer-id",
        "x-tenant x-tenant-id x-org-id x-organization-id",
    )
    for name in names.split()
)
_ANYWHERE = frozenset({"auth", "authorization"})
_LAST = frozenset(
    """
    accesskey accesstoken apikey authtoken cookie credential credentials jwt passphrase passwd password secret secretkey
    token
    """.split()  # noqa: SIM905
)
_ENDINGS = (
    *("access-key", "account-key", "api-key", "app-key", "functions-key", "litellm-key", "private-key", "secret-key"),
    *("subscription-key", "virtual-key"),
)
"""Not every key opens something: an `idempotency-key` does not."""
_PARAMETERS = frozenset({"key", "api_key", "api-key", "apikey", "access_token", "subscription-key"})

_BALANCERS = frozenset(
    # Cloudflare ("Cloudflare cookies"), AWS ("Sticky sessions"), Azure ("ARR affinity", "Cookie-based affinity"),
    # Google Cloud ("Session affinity")
    """
    __cf_bm __cfduid __cflb __cfruid __cfseq _cfuvid
    AWSALB AWSALBCORS AWSALBTG AWSALBTGCORS AWSELB AWSELBCORS
    ARRAffinity ARRAffinitySameSite ApplicationGatewayAffinity ApplicationGatewayAffinityCORS
    GCLB
    """.split()  # noqa: SIM905
)
"""Cookies that tell servers apart and not callers, by their whole names: a login's may begin in the same way."""


def names_caller(header: str) -> bool:
    """Whether a header (its name in lower case) says who asks: one that is known, or one that is called so."""
    if header in _KNOWN:
        return True
    words = header.replace("_", "-").split("-")
    return words[-1] in _LAST or not _ANYWHERE.isdisjoint(words) or "-".join(words).endswith(_ENDINGS)


def is_key_parameter(name: str) -> bool:
    """Whether a parameter of the query carries a key."""
    return name.lower() in _PARAMETERS


def bearer_token(headers: Mapping[str, str]) -> str | None:
    """What follows `Bearer` in `Authorization` (RFC 6750 section 2.1); None without it."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" and token.strip() else None


def is_secret(given: str | bytes, secret: str | bytes) -> bool:
    """Whether what somebody shows is the secret; how long it takes tells nothing about it but its length.

    Text is compared as UTF-8, with the bytes that are none of it where they came as lone surrogates (PEP 383).
    """
    return hmac.compare_digest(_bytes(given), _bytes(secret))


def _bytes(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text


def shown_in_header(text: str) -> bytes:
    """The bytes of a header that ASGI hands on decoded as Latin-1: as bytes, what it shows may hold any character."""
    return text.encode("latin-1", "replace")


def bears_key(headers: Mapping[str, str], query: str = "") -> bool:
    """Whether a request (header names in lower case) brings a key of its own."""
    return any(headers.get(name) for name in KEYS) or bool(_keys_of_query(query))


def anonymous(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers without those that say who asks."""
    return {name: value for name, value in headers.items() if not names_caller(name)}


def credential(headers: Mapping[str, str], query: str) -> str:
    """Everything in a request that says who asks, as one canonical string; empty for an anonymous caller.

    Header names are in lower case. A key is the same caller wherever it stands: SDKs of one provider send it as
    `Authorization: Bearer`, as `x-api-key` or in the query, by their age. Everything else counts with its name. The
    result is secret: give it to `Identifier.identify` as the scope and keep it nowhere.
    """
    bearer = bearer_token(headers)
    keys = [bearer] if bearer else []
    keys += [key for name in KEYS[1:] if (key := headers.get(name))]
    keys += _keys_of_query(query) if query else ()
    read = KEYS if bearer else KEYS[1:]
    others = [
        (name, _callers_cookies(headers[name]) if name == "cookie" else headers[name])
        for name in _callers(tuple(headers))
        if name not in read
    ]
    others = sorted(pair for pair in others if pair[1])
    # The keys in their order: a server takes only one of several.
    return json.dumps([list(dict.fromkeys(keys)), others]) if keys or others else ""


@functools.lru_cache(maxsize=128)
def _callers(headers: tuple[str, ...]) -> tuple[str, ...]:
    """Those that say who asks. An app's requests have the same headers, one after the other."""
    return tuple(name for name in headers if names_caller(name))


def _keys_of_query(query: str) -> list[str]:
    """As they are written: %ff and %fe are both no text, and + is a space to some servers and not to others."""
    pairs = (part.partition("=") for part in query.split("&"))
    return [value for name, _, value in pairs if value and is_key_parameter(name)]


def _callers_cookies(header: str) -> str:
    """The cookies that can name a caller. A provider's load balancer sets its own on the first answer and the SDKs
    send them back: with them in the identity, no second call would ever be like the first."""
    if '"' in header or "," in header:
        return header  # some servers take what is quoted for one value, with its semicolons, and a comma for one
    cookies = [cookie for part in header.split(";") if (cookie := part.strip())]
    return "; ".join(
        sorted((cookie for cookie in cookies if _name(cookie) not in _BALANCERS), key=_name)  # a name's own order stays
    )


def _name(cookie: str) -> str:
    return cookie.partition("=")[0].strip()
