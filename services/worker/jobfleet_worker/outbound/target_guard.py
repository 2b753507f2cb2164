"""Which addresses a job may make this worker call: no way into the network that it stands in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import quote

from yarl import URL

from jobfleet_contracts.cut_text import cut_text
from jobfleet_worker.outbound.refusals import TargetForbidden

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NAT64 = IPv6Network("64:ff9b::/96")
"""Leads to any IPv4 address through the provider's translator; the address within is judged."""
_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All that IANA hands out to networks of the internet; the rest of IPv6 is never public."""


def _networks(reason: str, *prefixes: str) -> list[tuple[Network, str]]:
    return [(ip_network(prefix), reason) for prefix in prefixes]


_NEVER = (
    *_networks("an unspecified address", "0.0.0.0/8", "::/128"),
    *_networks(
        "a cloud provider's metadata or wire server",
        "169.254.169.254/32",
        "168.63.129.16/32",
        "100.100.100.200/32",
        "192.0.0.192/32",
        "fd00:ec2::/32",
        "fd20:ce::254/128",
    ),
    *_networks("a link-local address", "169.254.0.0/16", "fe80::/10"),
    *_networks("a multicast address", "224.0.0.0/4", "ff00::/8"),
    *_networks("a reserved or broadcast address", "240.0.0.0/4"),
    *_networks("a 6to4 address or relay", "192.88.99.0/24", "2002::/16"),
    *_networks("a Teredo address", "2001::/32"),
    *_networks("a local NAT64 prefix", "64:ff9b:1::/48"),
    *_networks("an IPv4-translated address", "::ffff:0:0:0/96"),
    *_networks("a deprecated site-local address", "fec0::/10"),
)
"""Refused whatever is allowed."""

_PRIVATE = (
    *_networks("a loopback address", "127.0.0.0/8", "::1/128"),
    *_networks("a private address", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
    *_networks("a shared carrier address", "100.64.0.0/10"),
    *_networks("a protocol assignment", "192.0.0.0/24", "2001::/23"),
    *_networks(
        "a documentation address",
        "192.0.2.0/24",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "2001:db8::/32",
        "3fff::/20",
    ),
    *_networks("a benchmarking address", "198.18.0.0/15"),
    *_networks("an AS112 address", "192.31.196.0/24", "192.175.48.0/24", "2620:4f:8000::/48"),
    *_networks("a multicast tunnel address", "192.52.193.0/24"),
    *_networks("a segment routing address", "5f00::/16"),
    *_networks("a discard-only or dummy address", "100::/63"),
)
"""With ``_NEVER`` every range of IANA's special-purpose registries for IPv4 and IPv6.

``ipaddress.is_global`` is not asked: what it knows depends on the version of Python.
"""
_LIKE_A_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
"""No name ends so (RFC 3696); programs that read it as an address read different ones."""
_SENT_AS_GIVEN = "%!$&'()*+,-./:;=?@_~[]"
"""The rest could end the line of a request: blanks, controls, quotes, what is beyond ASCII."""
_COMPATIBLE = IPv6Network("::/96")


class TargetGuard:
    """Judges URLs before a call and every address that a connection is made to."""

    def __init__(
        self, *, allowed_hosts: tuple[str, ...] = (), allow_private_targets: bool = False
    ) -> None:
        self._allowed_hosts = allowed_hosts
        self._allow_private = allow_private_targets

    def read(self, target: str) -> URL:
        """Return a URL as the connection will read it; path and query stay as they are written.

        A signature in a query is often made over its very spelling.

        Raises:
            TargetForbidden: it is none, or one that jobs may not use; says why.
        """
        try:
            url = URL(target)
        except ValueError as error:
            raise TargetForbidden(
                f"{cut_text(target, 200)!r} is not a web address: {error}"
            ) from None
        self.check(url)
        given = URL(target, encoded=True)
        return URL.build(
            scheme=url.scheme,
            authority=url.raw_authority,
            path=quote(given.raw_path, safe=_SENT_AS_GIVEN, errors="replace") or "/",
            query_string=quote(given.raw_query_string, safe=_SENT_AS_GIVEN, errors="replace"),
            encoded=True,
        )

    def check(self, url: URL) -> None:
        """Check scheme, host and, where the host is an address, the address.

        Raises:
            TargetForbidden: says why.
        """
        if url.scheme not in ("http", "https") or not url.raw_host:
            raise TargetForbidden(f"{url.scheme or 'no'} address: only http and https are called")
        if url.raw_user is not None or url.raw_password is not None:
            raise TargetForbidden(
                "an address with user or password is not called; "
                "use a header with ${secret:NAME} instead"
            )
        if self._allowed_hosts and not self.lists(url):
            raise TargetForbidden(
                f"{_host(url)} is not among the hosts of JOBFLEET_ALLOWED_HOSTS that jobs may call"
            )
        literal = _literal(url.raw_host)
        if literal is not None:
            self.check_address(str(literal))
        elif _LIKE_A_NUMBER.fullmatch(_host(url).rpartition(".")[2]):
            raise TargetForbidden(
                f"{_host(url)} is neither a name nor an address in its plain form, as 192.0.2.1"
            )

    def lists(self, url: URL) -> bool:
        """Whether the host is named on the allow list; false if there is none."""
        return is_among(url, self._allowed_hosts)

    def check_address(self, address: str) -> None:
        """Check one resolved address.

        Raises:
            TargetForbidden: says what sort of address it is.
        """
        reason = forbidden_reason(address, allow_private=self._allow_private)
        if reason is not None:
            raise TargetForbidden(f"{address} is {reason}; jobs may not call it")


def is_among(url: URL, hosts: Iterable[str]) -> bool:
    """Whether the URL's host is one of these; ``*.example.org`` is every name below it."""
    host = _host(url)
    names = (name.lower().rstrip(".") for name in hosts)
    return any(host.endswith(n[1:]) if n.startswith("*.") else host == n for n in names)


def forbidden_reason(address: str, *, allow_private: bool = False) -> str | None:
    """Return why an IP address may not be called, ``None`` if it may."""
    parsed = _literal(address)
    if parsed is None:
        return "not an IP address"
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return _judge(parsed.ipv4_mapped, allow_private)
        if parsed in _NAT64:
            return _judge(_last_four(parsed), allow_private)
    return _judge(parsed, allow_private)


def _judge(address: Address, allow_private: bool) -> str | None:
    for network, reason in _NEVER:
        if address in network:
            return reason
    for network, reason in _PRIVATE:
        if address in network:
            return None if allow_private else reason
    if address in _COMPATIBLE:
        return "an IPv4-compatible address"
    is_public = isinstance(address, IPv4Address) or address in _GLOBAL_UNICAST
    return None if is_public or allow_private else "not a public address"


def _last_four(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFF_FFFF)


def _literal(host: str) -> Address | None:
    """Return the address that a host is; zones are left out, a connection ignores them too."""
    try:
        return ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None


def _host(url: URL) -> str:
    return (url.raw_host or "").lower().rstrip(".")
