"""Who is trusted: the local certificate authority, and the roots that programs trust already."""

from askonce.trust.authority import (
    RESERVED_HOST,
    CaInfo,
    DeniedError,
    Trust,
    TrustError,
    ca_info,
    ensure_ca,
    load_ca,
    upstream_bundle,
)

__all__ = [
    "RESERVED_HOST",
    "CaInfo",
    "DeniedError",
    "Trust",
    "TrustError",
    "ca_info",
    "ensure_ca",
    "load_ca",
    "upstream_bundle",
]
