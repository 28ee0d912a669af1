"""A limit to the greeting that a TLS connection begins with.

mitmproxy keeps what comes of a greeting, and reads all of it anew with each piece: 15 MiB that never ended stopped the
event loop for 1.8 s. One rule: what says that it is larger than the largest head is no greeting.
"""

from mitmproxy.addons import next_layer
from mitmproxy.proxy.layers import tls
from mitmproxy.tls import ClientHello

from askonce.calls.limits import Limits

__all__ = ["install", "parse"]

_RECORD, _LENGTH = slice(3, 5), slice(6, 9)
"""Where a record says how long it is, and the message in it: RFC 8446 5.1 and 4."""
_HEAD = 4
"""Bytes of a message's head."""
_TOLD = 16
"""Bytes that mitmproxy may put into the log, where it writes all that came."""


def parse(data: bytes | bytearray) -> ClientHello | None:
    """`mitmproxy.proxy.layers.tls.parse_client_hello`; ValueError where the greeting is larger than `max_header`."""
    most = Limits.in_force.max_header
    is_told = int.from_bytes(data[_RECORD]) >= _HEAD
    if len(data) > 2 * most or (is_told and int.from_bytes(data[_LENGTH]) > most):
        if isinstance(data, bytearray):
            del data[_TOLD:]
        raise ValueError(f"a greeting of more than {most} bytes")
    return _parse(data)  # type: ignore[arg-type]  # mitmproxy gives it either


_parse = tls.parse_client_hello


def install() -> None:
    """Have mitmproxy read greetings this way. It looks the name up for each piece (12.2.3)."""
    for module in (tls, next_layer):
        module.parse_client_hello = parse  # type: ignore[attr-defined]
