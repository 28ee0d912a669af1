"""The `access` section of rules.yaml: who may use the proxy, and which networks it may lead to.

One rule: it can only be said for everybody; whose answers a caller is given is the matter of his provider's key.
"""

import ipaddress
from typing import Annotated

from pydantic import BeforeValidator

from askonce.rules.sections import Section

__all__ = ["AccessSpec"]


def _network(value: object) -> object:
    try:
        return ipaddress.ip_network(value if isinstance(value, str) else "")
    except ValueError as error:
        wrong = f": {error}" if "host bits" in str(error) else ""
        raise ValueError(f"expected a network such as 10.0.0.0/8 or fd00::/8, or an address{wrong}") from None


NetworkSpec = Annotated[ipaddress.IPv4Network | ipaddress.IPv6Network, BeforeValidator(_network)]


class AccessSpec(Section):
    """Who may use the proxy, besides programs on its own machine, and where it leads."""

    clients: tuple[NetworkSpec, ...] | None = None
    """Who may connect; everybody where it is left out. This machine always may."""
    authenticate: bool = False
    """Whoever uses the proxy shows a key of `askonce keys` as a password (RFC 9110 11.7, RFC 7617)."""
    destinations: tuple[NetworkSpec, ...] = ()
    """Private networks that may be reached off loopback, besides what rules name in full."""
