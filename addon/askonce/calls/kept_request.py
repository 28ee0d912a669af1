"""A request as it is kept beside its answer, to tell afterwards where another one differs.

One rule: what says who asks is not in it, wherever it stood in the body.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from askonce import jsontext
from askonce.call import Request
from askonce.credentials import names_caller

__all__ = ["KeptRequest", "pack", "unpack"]

_LONGEST = 4 << 20
"""Bytes of a body that is looked at."""
_LARGEST = 256 << 10
"""Bytes that are kept of one; images do not get smaller."""
_LEFT_OUT = "(not kept)"


@dataclass(frozen=True, slots=True)
class KeptRequest:
    """What can be read again of a request."""

    path: str
    body: Any
    """JSON."""
    headers: Mapping[str, str]
    """Those that choose the answer, by name, each with a digest of its value that is too short to guess that from."""


def pack(request: Request, headers: Mapping[str, str]) -> bytes:
    """What there is to tell of a request, compressed; empty for a body that is no JSON, or too large.

    `headers` are those that choose the answer.
    """
    if len(request.body) > _LONGEST:
        return b""
    try:
        body = _without_secrets(jsontext.loads(request.body))
        kept = {"path": request.path, "body": body, "headers": {name: _digest(headers[name]) for name in headers}}
        packed = zlib.compress(jsontext.dumps(kept), level=1)
    except (jsontext.NotJson, TypeError):  # a lone surrogate
        return b""
    return packed if len(packed) <= _LARGEST else b""


def unpack(packed: bytes) -> KeptRequest | None:
    """What `pack` made; None for nothing."""
    if not packed:
        return None
    kept = jsontext.loads(zlib.decompress(packed))
    return KeptRequest(kept["path"], kept["body"], kept["headers"])


def _digest(value: str) -> str:
    return blake2b(value.encode("utf-8", "replace"), digest_size=2).hexdigest()


def _without_secrets(value: Any) -> Any:
    """Servers that a model may call are named with the tokens that open them."""
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _LEFT_OUT if isinstance(member, str) and names_caller(name.lower()) else _without_secrets(member)
        for name, member in value.items()
    }
