"""What an IP address leads to: a place that everybody can reach, this very machine, or somebody's own network.

One rule: an address counts by where its packets end. An IPv4 address that an IPv6 one carries counts as what it is, and
what no registry calls reachable by everybody is not public.
"""

import ipaddress
import socket

__all__ = ["Address", "Network", "is_of_this_machine", "is_public", "parse_address"]

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address
type Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_UNICAST = ipaddress.IPv6Network("2000::/3")
"""All that IANA has given to anybody (RFC 4291 2.4, "IPv6 Global Unicast Address Assignments"): what is outside it is
local, multicast, or a form that carries an IPv4 address."""
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""RFC 6052: an IPv4 address for a network without IPv4. 64:ff9b:1::/48 (RFC 8215) is the same within one network."""
_NOT_FOR_ALL = tuple(
    ipaddress.ip_network(text)
    for text in (
        "2001::/32",  # Teredo (RFC 4380) and 6to4 (RFC 3056): each carries an IPv4 address to some relay, and nobody
        "2002::/16",  # serves anything there (RFC 7526 took 6to4's relays away)
        "192.88.99.0/24",  # those relays (RFC 3068)
        "3fff::/20",  # documentation (RFC 9637), which older versions of `ipaddress` do not know
        "168.63.129.16/32",  # Azure's own services for the machine that asks, in every network of it
    )
)


def parse_address(text: str) -> Address:
    """The address that a socket names, without its zone; IPv4 where it is IPv4 in IPv6's clothes (RFC 4291 2.5.5.2).

    Raises ValueError.
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    return (isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped) or address


def is_public(address: Address) -> bool:
    """Whether everybody can reach it, by IANA's registries of special-purpose addresses (RFC 6890)."""
    if any(address in network for network in _NOT_FOR_ALL):
        return False
    if address.version == 4:
        return address.is_global and not address.is_multicast
    if address in _NAT64:
        return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return address in _UNICAST and address.is_global


def is_of_this_machine(address: Address) -> bool:
    """Whether packets to it stay on this machine: loopback, or an address of one of its interfaces."""
    if address.is_loopback or address.is_unspecified:
        return True
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(address), 9))  # sends nothing, and shows the way: to oneself one comes from there
        except OSError:
            return False
        return parse_address(probe.getsockname()[0]) == address
