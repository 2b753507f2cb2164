"""Every range of IANA's special-purpose registries is refused, plain and embedded.

Sources: iana-ipv4-special-registry and iana-ipv6-special-registry, as of 2025.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest

from jobfleet_worker.outbound.target_guard import forbidden_reason

IPV4 = [
    "0.0.0.0/8",
    "0.0.0.0/32",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.0.0/29",
    "192.0.0.8/32",
    "192.0.0.9/32",
    "192.0.0.10/32",
    "192.0.0.170/32",
    "192.0.0.171/32",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.88.99.2/32",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "240.0.0.0/4",
    "255.255.255.255/32",
    "224.0.0.0/4",
]
IPV6 = [
    "::1/128",
    "::/128",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001::/32",
    "2001:1::1/128",
    "2001:1::2/128",
    "2001:1::3/128",
    "2001:2::/48",
    "2001:3::/32",
    "2001:4:112::/48",
    "2001:10::/28",
    "2001:20::/28",
    "2001:30::/28",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    "::/96",
    "::ffff:0:0:0/96",
    "4000::/2",
    "8000::/2",
]
"""With multicast, deprecated ranges and what is not handed out to anybody."""
NEIGHBOURS = [
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "172.32.0.0",
    "192.0.1.0",
    "198.20.0.0",
    "2001:200::",
    "2001:db9::",
    "3ffe:ffff::",
    "3fff:1000::",
    "2606:4700:4700::1111",
]
"""Public addresses right beside such ranges."""


def ends(prefix: str) -> list[IPv4Address | IPv6Address]:
    """The first address, the last one, and one in between."""
    network = IPv6Network(prefix) if ":" in prefix else IPv4Network(prefix)
    middle = network[network.num_addresses // 2]
    return [network[0], middle, network[-1]]


def embedded(address: IPv4Address) -> dict[str, IPv6Address]:
    """All forms in which an IPv6 address carries an IPv4 address."""
    number = int(address)
    return {
        "mapped": IPv6Address((0xFFFF << 32) | number),
        "compatible": IPv6Address(number),
        "translated": IPv6Address((0xFFFF << 48) | number),
        "NAT64": IPv6Address((0x0064_FF9B << 96) | number),
        "6to4": IPv6Address((0x2002 << 112) | (number << 80)),
        "Teredo client": IPv6Address((0x2001_0000 << 96) | (number ^ 0xFFFF_FFFF)),
        "Teredo server": IPv6Address((0x2001_0000 << 96) | (number << 64)),
    }


@pytest.mark.parametrize("prefix", IPV4 + IPV6)
def test_no_address_of_a_special_range_is_public(prefix: str) -> None:
    for address in ends(prefix):
        assert forbidden_reason(str(address)) is not None, address


@pytest.mark.parametrize("prefix", IPV4)
def test_a_special_ipv4_address_is_refused_in_each_ipv6_form(prefix: str) -> None:
    for address in ends(prefix):
        assert isinstance(address, IPv4Address)
        for form, wrapped in embedded(address).items():
            assert forbidden_reason(str(wrapped)) is not None, f"{address} {form}: {wrapped}"


@pytest.mark.parametrize("form", ["6to4", "Teredo client", "Teredo server", "compatible"])
def test_tunnels_are_refused_whatever_they_carry(form: str) -> None:
    wrapped = str(embedded(IPv4Address("8.8.8.8"))[form])
    assert forbidden_reason(wrapped, allow_private=form == "compatible") is not None


@pytest.mark.parametrize("address", NEIGHBOURS)
def test_the_addresses_beside_them_stay_public(address: str) -> None:
    assert forbidden_reason(address) is None
