"""Where a caller may have a call sent: the hosts and paths that rules.yaml names, and nowhere else.

One rule: what a URL means is decided once, here, and strictly; a URL that two programs could read in two ways is
refused. Redirects need no rule of their own: the proxy follows none, it passes them on.
"""

import asyncio
import ipaddress
import re
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from askonce.rules import Rule, Rules

__all__ = ["Destination", "DestinationError", "ForbiddenDestination", "find_destination"]

_URL = re.compile(
    r"https?://[A-Za-z0-9._\[\]:-]+(?:/[!$%&'()*+,./:;=@A-Za-z0-9_~-]*)?(?:\?[!$%&'()*+,./:;=?@A-Za-z0-9_~-]*)?"
)
"""No user, no fragment, nothing that a parser might drop or turn round: backslashes, spaces, control characters."""
_DOTS = re.compile(r"(?:\.|%2e){1,2}", re.IGNORECASE)
_PORTS = {"https": 443, "http": 80}


class DestinationError(ValueError):
    """The caller may not have his call sent there; the message says why."""


class ForbiddenDestination(DestinationError):
    """It can be understood, and no rule lets anybody go there."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A place that a rule names."""

    rule: Rule
    scheme: str
    host: str
    port: int
    path: str
    query: str

    async def check(self) -> None:
        """Raise `ForbiddenDestination` where a name that no rule spells out leads into a private network."""
        if any(not pattern.is_wild and pattern.matches(_written(self.host)) for pattern in self.rule.hosts):
            return
        try:
            found = await asyncio.get_running_loop().getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise ForbiddenDestination(f"{self.host} has no address: {error.strerror}") from None
        for *_, address in found:
            if not _is_public(str(address[0])):
                raise ForbiddenDestination(f"{self.host} leads to a private address, and no rule names it in full")


def find_destination(url: str, rules: Rules) -> Destination:
    """The destination that a URL names. Raises `DestinationError`."""
    if not _URL.fullmatch(url):
        raise DestinationError("expected a URL such as https://api.openai.com/v1/chat/completions")
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
    except ValueError:
        raise DestinationError("expected a URL with a host and a port that there can be") from None
    host, path = parts.hostname or "", parts.path or "/"
    if any(_DOTS.fullmatch(segment) for segment in path.split("/")):
        raise DestinationError("expected a path without . and .. in it")
    rule = rules.find(parts.scheme, _written(host), port, path)
    if rule is None:
        raise ForbiddenDestination(f"no rule names {parts.scheme}://{host}:{port}{path}")
    return Destination(rule, parts.scheme, host, port, path, parts.query)


def _written(host: str) -> str:
    """A host as rules.yaml writes it."""
    return f"[{host}]" if ":" in host else host


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_global and not ip.is_multicast
