"""Which addresses everybody can reach, in every form that hides one that not everybody can."""

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.network.addresses import is_of_this_machine, is_public, parse_address

PRIVATE = ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"]


def ours(text: str) -> bool:
    return is_public(parse_address(text))


@pytest.mark.parametrize(
    "text", ["93.184.216.34", "8.8.8.8", "2606:2800:220:1::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2a00::1%eth0"]
)
def test_what_everybody_can_reach(text: str) -> None:
    assert ours(text)


@pytest.mark.parametrize(
    "text",
    [
        *PRIVATE,
        *(
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "192.88.99.1",
            "198.18.0.1",
            "192.0.2.1",
            "224.0.0.1",
            "240.0.0.1",
        ),
        *("255.255.255.255", "::", "::1", "fe80::1%eth0", "fd00:ec2::254", "fec0::1", "ff02::1", "100::1"),
        *("2001:db8::1", "3fff::1", "5f00::1", "4000::1", "64:ff9b:1::808:808"),
        *("2002:808:808::1", "2002:7f00:1::1", "2001:0:808:808::1", "::8.8.8.8", "::ffff:0:808:808"),
    ],
)
def test_what_not_everybody_can_reach(text: str) -> None:
    assert not ours(text)


@pytest.mark.parametrize("inside", PRIVATE)
@pytest.mark.parametrize("form", ["::ffff:{}", "::{}", "::ffff:0:{}", "64:ff9b::{}", "64:ff9b:1::{}"])
def test_no_form_hides_an_address(form: str, inside: str) -> None:
    assert not ours(form.format(inside))


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_what_it_is_in_ipv6_too(address: ipaddress.IPv4Address) -> None:
    assert ours(f"::ffff:{address}") == ours(f"64:ff9b::{address}") == ours(str(address))


@given(st.ip_addresses())
def test_what_the_library_calls_private_never_is_public(address: ipaddress.IPv4Address) -> None:
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast:
        assert not is_public(parse_address(str(address)))


@pytest.mark.parametrize("text", ["127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1"])
def test_loopback_is_this_machine(text: str) -> None:
    assert is_of_this_machine(parse_address(text))


def test_an_interface_s_address_is_this_machine_and_its_neighbour_s_is_not() -> None:
    found = socket.getaddrinfo(socket.gethostname(), 0, type=socket.SOCK_STREAM)
    for address in {str(info[4][0]) for info in found}:
        assert is_of_this_machine(parse_address(address))
    assert not is_of_this_machine(parse_address("203.0.113.7"))
    assert not is_of_this_machine(parse_address("2001:db8::7"))
