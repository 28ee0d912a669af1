"""Cachecore's tenant tokens: where they stand in a request, and what they say once they are believed.

One rule: a token that is there and not good is refused, never taken for one that is not there.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import jwt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from askonce.credentials import bearer_token
from askonce.products.cachecore.section import CachecoreSpec

__all__ = ["TOKEN_HEADER", "Tenant", "TokenError", "read_tenant", "take_token"]

TOKEN_HEADER = "x-cachecore-token"
_MARK = "cc_"
_LONGEST = 366 * 86400.0
"""Seconds: past it a window is a mistake."""
_UNCHECKED = {"verify_aud": False, "verify_iss": False, "verify_sub": False, "verify_jti": False, "verify_iat": False}
"""Claims that mean nothing here."""


class TokenError(ValueError):
    """The token is not good; the message says why, for its owner."""


class _Claims(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True, defer_build=True)

    tenant_id: Annotated[str, Field(min_length=1, max_length=512)]
    policy_version: str = ""
    permissions: Any = None
    roles: Any = None
    scope: Any = None
    fresh_ttl_secs: Annotated[float, Field(gt=0, le=_LONGEST)] | None = None
    stale_window_secs: Annotated[float, Field(ge=0, le=_LONGEST)] | None = None


@dataclass(frozen=True, slots=True)
class Tenant:
    """Whose call it is, as its token says."""

    id: str
    policy_version: str
    permissions: str
    """What the token permits, as canonical JSON."""
    fresh: float
    """Seconds that an answer is served."""
    stale: float
    """Seconds after that."""

    @property
    def scope(self) -> str:
        """Tenants share no answers, nor do versions of a policy, nor callers who are permitted other things."""
        return json.dumps(["cachecore", self.id, self.policy_version, self.permissions])


def take_token(headers: Mapping[str, str]) -> tuple[str | None, dict[str, str]]:
    """The tenant token of a request (None without one), and the headers without it. Names are in lower case.

    `X-Cachecore-Token`, or `Authorization: Bearer` where what follows is `cc_live_<id>.<jwt>`, or a JWT that names a
    tenant; other credentials are the provider's.
    """
    rest = dict(headers)
    token = rest.pop(TOKEN_HEADER, "").strip()
    bearer = bearer_token(headers) or ""
    if bearer.startswith(_MARK) or _names_tenant(bearer):
        del rest["authorization"]
        token = token or bearer
    return token or None, rest


def read_tenant(token: str, spec: CachecoreSpec, *, believe: bool) -> Tenant:
    """The tenant of a token, `cc_live_<id>.<jwt>` or `<jwt>`. `believe`: without a secret, take it as it is.

    Raises TokenError.
    """
    text = token.partition(".")[2] if token.startswith(_MARK) else token
    if not spec.checks_tokens and not believe:
        raise TokenError("tenant tokens are not accepted: products.cachecore.secret is not set, nor is public_key")
    try:
        if spec.checks_tokens:
            key, algorithm = _key(text, spec)
            said = jwt.decode(text, key, algorithms=[algorithm], options=_UNCHECKED)  # type: ignore[arg-type]
        else:
            unsigned: Any = {**_UNCHECKED, "verify_signature": False, "verify_exp": True, "verify_nbf": True}
            said = jwt.decode(text, options=unsigned)
    except jwt.ExpiredSignatureError:
        raise TokenError("the tenant token has expired") from None
    except jwt.InvalidSignatureError:
        raise TokenError("the tenant token is not signed with this gateway's key") from None
    except (jwt.PyJWTError, ValueError) as error:
        raise TokenError(f"the tenant token is not valid: {error}") from None
    try:
        claims = _Claims.model_validate(said)
    except ValidationError as error:
        mistake = error.errors(include_url=False)[0]
        raise TokenError(f"the tenant token's {'.'.join(map(str, mistake['loc']))}: {mistake['msg']}") from None
    fresh, stale = claims.fresh_ttl_secs, claims.stale_window_secs
    if not spec.checks_tokens:  # anybody may have written it: it can shorten, not lengthen
        fresh, stale = min(fresh or spec.fresh, spec.fresh), min(spec.stale if stale is None else stale, spec.stale)
    permissions = [claims.permissions, claims.roles, claims.scope]
    return Tenant(
        id=claims.tenant_id,
        policy_version=claims.policy_version,
        permissions=json.dumps(permissions, sort_keys=True),
        fresh=spec.fresh if fresh is None else fresh,
        stale=spec.stale if stale is None else stale,
    )


def _key(token: str, spec: CachecoreSpec) -> tuple[str, str]:
    """What a token is checked with, and how. A key serves one algorithm: else who knows the public key could sign with
    it, as if it were the secret. Raises PyJWTError."""
    keys = {"HS256": spec.secret, "RS256": spec.public_key}
    algorithm = jwt.get_unverified_header(token).get("alg", "")
    key = keys.get(algorithm)
    if key is None:
        raise jwt.InvalidAlgorithmError(f"expected {' or '.join(name for name in keys if keys[name])}")
    return key, algorithm


def _names_tenant(bearer: str) -> bool:
    if not bearer.startswith("eyJ"):
        return False
    try:
        claims = jwt.decode(bearer, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError):
        return False
    return isinstance(claims, dict) and "tenant_id" in claims
