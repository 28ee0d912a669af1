"""Calls that are signed over their own bytes, as Amazon's are (Signature Version 4).

One rule: what a signature covers is never rewritten, and a signature is no credential. It names a key that is no
secret, and only the provider can tell whether who signed has the secret half. Source: AWS General Reference, "Signing
AWS API requests".
"""

import re
from typing import Protocol

__all__ = ["is_signed", "signed_headers"]

_SIGNATURE = re.compile(r"AWS4-[A-Z0-9-]+ ")
_HEADERS = re.compile(r"SignedHeaders=([^,\s]+)")


class HeaderValues(Protocol):
    """Header values by name in lower case."""

    def get(self, name: str, default: str, /) -> str: ...


def is_signed(headers: HeaderValues) -> bool:
    """Whether a signature stands where a credential would."""
    return _SIGNATURE.match(headers.get("authorization", "")) is not None


def signed_headers(headers: HeaderValues) -> frozenset[str]:
    """The names, in lower case, of the headers that the request's signature covers; none where it is not signed."""
    if not is_signed(headers):
        return frozenset()
    found = _HEADERS.search(headers.get("authorization", ""))
    return frozenset(found[1].lower().split(";")) if found else frozenset()
