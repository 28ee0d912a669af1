"""Whose call it is: a rule's, Askonce's own, or nobody's that Askonce knows.

One rule: a name counts where TLS verifies it. Where the names that a request gives disagree, nothing of it is read.
"""

import ipaddress
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from askonce.rules import Rule, Rules

__all__ = ["Arrival", "Origin", "decide", "is_own_name"]

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_AUTHORITY = re.compile(r"(?P<host>[^:\[\]]+|\[[^\[\]]+\])(?::(?P<port>[0-9]{1,5}))?")
_LAST_PORT = 65535


class Arrival(NamedTuple):
    """What is known of a request once its head is there. A tuple is made in a fifth of a frozen dataclass's time, and
    one of these stands on the way of every call."""

    scheme: str
    host: str
    """Where it is to go: of its URL, of the CONNECT before it, or of the Host header; IPv6 without brackets."""
    port: int
    path: str
    """Without the query."""
    method: bytes
    """As it was sent: "post" is another method than "POST" (RFC 9110 9.1)."""
    heads: Mapping[bytes, bytes]
    """The header fields, names in lower case; of several with one name the last."""
    authority: str
    """`:authority` of HTTP/2; empty where there is none."""
    sni: str | None
    """The name that TLS verifies; None outside TLS, or where the client gave none."""
    own: tuple[str, int]
    """The address and port at which the connection came in."""
    direct: bool = False
    """Sent in plain HTTP as to a server, and not as to a proxy."""


class Origin(NamedTuple):
    """Whose call it is."""

    host: str
    """In lower case."""
    rule: Rule | None = None
    """None: no rule's, or Askonce's own."""
    protocol: str = ""
    """What it speaks that no wire format does, "websocket" or "grpc": such a call is only counted. Mostly empty."""
    managed: bool = False
    """To one of our own addresses: for the management API, or for a product's way to a provider."""
    direct: bool = False
    """Sent to us in plain HTTP as to a server, and not as to a proxy."""


def decide(arrival: Arrival, rules: Rules) -> Origin:
    """Whose call it is, by its head alone."""
    host, sni, heads = arrival.host.lower(), arrival.sni, arrival.heads
    if sni and (sni := sni.lower()) != host:
        if not _is_address(host):
            return Origin(host)
        host = sni
    # The rules bind to the name that TLS verifies, and the Host header must agree with it.
    named = arrival.authority or heads.get(b"host", b"").decode("latin-1")
    if named and _host_of(named) != host:
        return Origin(host)
    if is_own_name(host, rules.config.manage.host) or (arrival.sni is None and _is_own_address(host, arrival, rules)):
        return Origin(host, managed=True, direct=arrival.direct)
    rule = rules.find(arrival.scheme, host, arrival.port, arrival.path, heads)
    if protocol := _other_protocol(heads.get(b"upgrade", b""), heads.get(b"content-type", b"")):
        return Origin(host, rule or rules.at(arrival.scheme, host, arrival.port), protocol, direct=arrival.direct)
    return Origin(host, rule if arrival.method == b"POST" else None, direct=arrival.direct)


@lru_cache(1024)
def is_own_name(host: str, own: str) -> bool:
    """Whether a name is the reserved one, `own`, or beneath it. Both are in lower case."""
    return host == own or host.endswith("." + own)


def _is_own_address(host: str, arrival: Arrival, rules: Rules) -> bool:
    """Whether a request outside TLS is for Askonce itself, by an address or an alias of the machine it runs on."""
    own_address, own_port = arrival.own
    if not (arrival.direct or arrival.port == own_port):
        return False
    is_free = rules.at("http", host, arrival.port) is None
    if host == own_address or host in _LOCAL_NAMES or host in rules.config.manage.aliases:
        return arrival.port == own_port or is_free
    # What was sent to us as to a server, by an address that is not ours, came by way of somebody who translates
    # addresses, such as a container's host. A name may be another's, made to lead here; an address cannot.
    return arrival.direct and is_free and _is_address(host)


@lru_cache(64)
def _other_protocol(upgrade: bytes, media_type: bytes) -> str:
    """What a request asks to speak instead of what the wire formats do; empty where it does not."""
    if upgrade.lower() == b"websocket":
        return "websocket"
    return "grpc" if media_type.startswith(b"application/grpc") else ""


@lru_cache(1024)
def _host_of(authority: str) -> str:
    """The host of `host[:port]` (RFC 3986 3.2), in lower case; what is none is returned whole, and is no host's."""
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None or int(parts["port"] or 0) > _LAST_PORT:
        return authority.lower()
    return parts["host"].removeprefix("[").removesuffix("]").lower()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
