"""What rules.yaml may say about Cachecore."""

from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import AfterValidator, Field

from askonce.network.rate_limits import Rate
from askonce.rules.sections import Duration, Section

__all__ = ["CachecoreSpec"]


def _pem(text: str) -> str:
    try:
        key = load_pem_public_key(text.encode())
    except ValueError:
        raise ValueError("expected a public key in PEM: -----BEGIN PUBLIC KEY-----, …") from None
    if not isinstance(key, RSAPublicKey) or key.key_size < 2048:
        raise ValueError("expected an RSA key of 2048 bits or more")
    return text


class CachecoreSpec(Section):
    """Cachecore's tenants, and how long their answers are good."""

    secret: str | None = Field(default=None, min_length=32)
    """What tenant tokens are signed with (HS256), at least as long as RFC 7518 asks for. Without it and `public_key`
    tokens are believed as they are on loopback, and refused elsewhere."""
    public_key: Annotated[str, AfterValidator(_pem)] | None = None
    """The other half of what tenant tokens are signed with (RS256), in PEM."""
    fresh: Duration = Field(default=3000.0, gt=0)
    """How long an answer is served where its tenant's token says nothing else."""
    stale: Duration = 600.0
    """How long after that it is served once more while it is fetched anew."""
    threshold: float | None = Field(default=None, ge=-1, le=1)
    """Raw cosine below which another wording is never answered; the judge decides above it, and alone without it."""
    bypass_rate: Rate = "100/minute"
    """How often one address may call without a token."""
    anonymous_invalidate: Literal["loopback", "always", "never"] = "loopback"
    """From where dependencies may be invalidated without a token, for all tenants at once. The client sends none."""
    debug_headers: bool = False
    """Send X-CacheCore-Namespace-Hint."""

    @property
    def checks_tokens(self) -> bool:
        return self.secret is not None or self.public_key is not None
