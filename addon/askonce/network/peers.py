"""Which addresses the proxy connects to for its callers: asked of each address that a socket is about to connect to.

One rule: a name says nothing. What a name, or another way to write an address, leads to is decided by the resolved
address, at the moment of the connection and for that very connection; nothing can change in between.

The proxy never connects to itself. Where others than this machine's own programs may use it, it leads to public
addresses, and to those that rules.yaml names: the hosts that rules spell out, their `upstream`, `access.destinations`.
"""

import asyncio
import socket
from collections.abc import Callable, Hashable, Iterable
from contextvars import ContextVar
from functools import wraps
from typing import Any
from weakref import WeakKeyDictionary

from askonce.network.addresses import Address, is_of_this_machine, is_public, parse_address
from askonce.rules import Rules
from askonce.settings import authority

__all__ = ["Peers", "Refused", "watch"]

type Place = tuple[str, int]
"""A host, in lower case and without brackets, and a port, as they were asked for."""
type CheckAddress = Callable[[Address, int], None]
"""Raises `Refused` for an address and port."""

_SAID = "Askonce does not connect to "
_RESOLVING = 3.0
"""Seconds for a name that is asked about before anybody connects."""
_check = ContextVar[CheckAddress | None]("askonce_peer", default=None)
"""What the connection that this task opens must pass; None for connections of our own."""


class Refused(OSError):
    """A connection that is not made; the message says to where, and why."""

    def __init__(self, place: Place, why: str) -> None:
        host, port = place
        super().__init__(f"{_SAID}{authority(host, port)}: {why}")

    @staticmethod
    def said_in(text: str) -> str:
        """What an error's text tells of one, which is all that mitmproxy hands on; empty where it tells of none."""
        return text[text.index(_SAID) :] if _SAID in text else ""


class Peers:
    """The addresses that may be connected to."""

    def __init__(self, rules: Callable[[], Rules], *, everywhere: bool) -> None:
        """`everywhere` is for a proxy that none but this machine's own programs can reach."""
        self._rules, self._everywhere = rules, everywhere
        self.listening: Callable[[], Iterable[Place]] = lambda: ()
        """Where the proxy itself listens."""
        self._only_public = WeakKeyDictionary[Any, set[Place]]()

    def only_public(self, client: Hashable, place: Place) -> None:
        """From here on, a place that no rule spells out must be public, for this client's connections to it."""
        self._only_public.setdefault(client, set()).add(place)

    def connecting(self, client: Hashable, place: Place, proxy: Place | None = None) -> None:
        """Have what this task connects to checked, until `connected`. A `proxy` that leads to the place is the
        operator's own choice: it may be anywhere but here, and what it leads to is for `why_not` to say."""
        strict = proxy is None and self._is_strict(client, place)
        _check.set(lambda address, port: self._pass(proxy or place, address, port, strict))

    def connected(self) -> None:
        """The connection is there, or was given up."""
        _check.set(None)

    async def why_not(self, place: Place, client: Hashable | None = None) -> str:
        """Why a place cannot be connected to, told before anybody tries; empty where it can, or will show, and where
        its name is not known here."""
        strict = self._is_strict(client, place)
        is_own_port = any(port == place[1] for _, port in self.listening())
        if not is_own_port and (not strict or self._rules().names(*place)):
            return ""
        try:
            async with asyncio.timeout(_RESOLVING):
                found = await asyncio.get_running_loop().getaddrinfo(*place, type=socket.SOCK_STREAM)
            for *_, (host, port, *_) in found:
                self._pass(place, parse_address(str(host)), int(port), strict)
        except Refused as refused:
            return str(refused)
        except OSError:
            pass
        return ""

    def _is_strict(self, client: Hashable | None, place: Place) -> bool:
        return not self._everywhere or (client is not None and place in self._only_public.get(client, ()))

    def _pass(self, place: Place, address: Address, port: int, strict: bool) -> None:
        if self._is_ourselves(address, port):
            raise Refused(place, "that is Askonce itself")
        if not strict or self._rules().names(*place):
            return
        if any(address in network for network in self._rules().config.access.destinations):
            return
        if not is_public(address) or is_of_this_machine(address):
            raise Refused(place, "it leads to a private address, and no rule names it in full")

    def _is_ourselves(self, address: Address, port: int) -> bool:
        for host, own_port in self.listening():
            if own_port == port:
                own = parse_address(host)
                is_any = own.is_unspecified and own.version == address.version
                if own == address or address.is_unspecified or (is_any and is_of_this_machine(address)):
                    return True
        return False


def watch(loop: asyncio.AbstractEventLoop) -> None:
    """Have this loop ask before each connection. asyncio resolves names itself, and connects here to what it found."""
    connect = loop.sock_connect
    if hasattr(connect, "__wrapped__"):
        return

    @wraps(connect)
    async def sock_connect(sock: socket.socket, address: Any) -> None:
        if (check := _check.get()) and sock.family in (socket.AF_INET, socket.AF_INET6):
            check(parse_address(str(address[0])), int(address[1]))
        await connect(sock, address)

    loop.sock_connect = sock_connect  # type: ignore[method-assign]
