"""Who may use the proxy: the networks that `access.clients` names, and holders of a key where one is asked for.

One rule: what cannot be checked is not let in. Here alone a fault of ours turns a caller away and does not help him on.
"""

import base64
import secrets
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from askonce.credentials import is_secret
from askonce.faults import Faults
from askonce.network.addresses import parse_address
from askonce.network.api_keys import ApiKey, ApiKeyError, ApiKeys
from askonce.rules import AccessSpec

__all__ = ["Admission"]

_OURSELVES = "askonce"


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a connection has shown, and which keys there were when it was found good."""

    credentials: bytes
    keys: tuple[ApiKey, ...]


class Admission:
    """Decides who is let in. Connections are told apart by an object of the caller's that lives as long as they do."""

    def __init__(self, spec: Callable[[], AccessSpec], keys: ApiKeys, faults: Faults) -> None:
        self._spec, self._keys, self._faults = spec, keys, faults
        self._shown, self._tunnels = WeakKeyDictionary[Any, _Shown](), WeakKeyDictionary[Any, bytes]()
        self.own_user = f"{_OURSELVES}:{secrets.token_urlsafe(32)}"
        """`user:password` for what Askonce itself asks by way of its own port."""
        self._own = self._basic(self.own_user)

    def lets_in(self, address: str, own: str) -> bool:
        """Whether a client at `address`, who connects to `own`, may. Programs of this machine always may."""
        networks = self._spec().clients
        if networks is None:
            return True
        client = parse_address(address)
        return client.is_loopback or client == parse_address(own) or any(client in network for network in networks)

    def opens_tunnel(self, connection: Hashable, credentials: bytes | None) -> bool:
        """Whether a CONNECT is let through; what comes out of the tunnel needs to show nothing any more."""
        if not self._spec().authenticate:
            return True
        if not self._knows(connection, credentials or b""):
            return False
        self._tunnels[connection] = credentials or b""
        return True

    def authenticates(self, connection: Hashable, credentials: bytes | None) -> bool:
        """Whether a request is let through; `credentials` is its Proxy-Authorization."""
        if not self._spec().authenticate:
            return True
        return self._knows(connection, self._tunnels.get(connection, credentials or b""))

    def _knows(self, connection: Hashable, credentials: bytes) -> bool:
        if is_secret(credentials, self._own):
            return True
        try:
            keys = self._keys.all()
            shown = self._shown.get(connection)
            if shown and shown.keys is keys and is_secret(shown.credentials, credentials):
                return True  # one connection shows the same again and again, and hashing takes longer than comparing
            if not self._keys.is_good(_password(credentials)):
                return False
        except ApiKeyError as error:
            self._faults.report("keys", error, "whoever has to show one is turned away")
            return False
        self._shown[connection] = _Shown(credentials, keys)
        return True

    @staticmethod
    def _basic(user: str) -> bytes:
        return b"Basic " + base64.b64encode(user.encode())


def _password(credentials: bytes) -> str:
    """The password of Basic credentials (RFC 7617); empty for what is no such thing."""
    scheme, _, rest = credentials.strip().partition(b" ")
    if scheme.lower() != b"basic":
        return ""
    try:
        user, _, password = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
    except ValueError:
        return ""
    # Tools that ask for one secret alone put it where the user's name goes.
    return password or user
