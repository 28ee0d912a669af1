"""Where a caller may have a call sent: the hosts and paths that rules.yaml names, and nowhere else.

One rule: what a URL means is decided once, here, and strictly; a URL that two programs could read in two ways is
refused. Redirects need no rule of their own: the proxy follows none, it passes them on.
"""

import asyncio
import re
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from askonce.network.addresses import Network, is_public, parse_address
from askonce.rules import Rule, Rules
from askonce.settings import DEFAULT_PORTS

__all__ = ["Destination", "DestinationError", "ForbiddenDestination", "find_destination"]

_URL = re.compile(
    r"https?://[A-Za-z0-9._\[\]:-]+(?:/[!$%&'()*+,./:;=@A-Za-z0-9_~-]*)?(?:\?[!$%&'()*+,./:;=?@A-Za-z0-9_~-]*)?"
)
"""No user, no fragment, nothing that a parser might drop or turn round: backslashes, spaces, control characters."""
_DOTS = re.compile(r"(?:\.|%2e){1,2}", re.IGNORECASE)


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
    private: tuple[Network, ...]
    """Networks besides the public one that anybody may have a call sent to."""

    async def check(self) -> None:
        """Raise `ForbiddenDestination` where a name that no rule spells out leads into a private network.

        It is a refusal in time, in the caller's own form; the connection itself is checked where it is made (`peers`).
        """
        if any(not pattern.is_wild and pattern.matches(self.host) for pattern in self.rule.hosts):
            return
        try:
            found = await asyncio.get_running_loop().getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise ForbiddenDestination(f"{self.host} has no address: {error.strerror}") from None
        for *_, address in found:
            ip = parse_address(str(address[0]))
            if not is_public(ip) and not any(ip in network for network in self.private):
                raise ForbiddenDestination(f"{self.host} leads to a private address, and no rule names it in full")


def find_destination(url: str, rules: Rules) -> Destination:
    """The destination that a URL names. Raises `DestinationError`."""
    if not _URL.fullmatch(url):
        raise DestinationError("expected a URL such as https://api.openai.com/v1/chat/completions")
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORTS[parts.scheme]
    except ValueError:
        raise DestinationError("expected a URL with a host and a port that there can be") from None
    host, path = parts.hostname or "", parts.path or "/"
    if any(_DOTS.fullmatch(segment) for segment in path.split("/")):
        raise DestinationError("expected a path without . and .. in it")
    rule = rules.find(parts.scheme, host, port, path)
    if rule is None:
        raise ForbiddenDestination(f"no rule names {parts.scheme}://{host}:{port}{path}")
    return Destination(rule, parts.scheme, host, port, path, parts.query, rules.config.access.destinations)
