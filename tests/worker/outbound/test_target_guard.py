"""Addresses that jobs may not call, in all their disguises."""

import socket

import pytest

from jobfleet_worker.outbound.refusals import TargetForbidden
from jobfleet_worker.outbound.target_guard import TargetGuard, forbidden_reason
from tests.worker.outbound.target_server import client, get

LITERALS = [
    "http://127.0.0.1/",
    "http://127.255.255.254/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.1.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://169.254.0.1/",
    "http://168.63.129.16/machine",
    "http://100.64.0.1/",
    "http://100.100.100.200/",
    "http://192.0.0.192/",
    "http://0.0.0.0/",
    "http://0.1.2.3/",
    "http://224.0.0.1/",
    "http://239.255.255.255/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://192.88.99.1/",
    "http://192.0.2.1/",
    "http://198.51.100.7/",
    "http://203.0.113.9/",
    "http://198.18.0.1/",
    "http://[::1]/",
    "http://[::]/",
    "http://[::127.0.0.1]/",
    "http://[::a9fe:a9fe]/",
    "http://[::8.8.8.8]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[::ffff:10.0.0.1]/",
    "http://[::ffff:168.63.129.16]/",
    "http://[::ffff:0:127.0.0.1]/",
    "http://[64:ff9b::169.254.169.254]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b::10.0.0.1]/",
    "http://[64:ff9b:1::1]/",
    "http://[2002:7f00:1::]/",
    "http://[2002:a9fe:a9fe::1]/",
    "http://[2002:808:808::1]/",
    "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fc00::1]/",
    "http://[fd12:3456:789a::1]/",
    "http://[fd00:ec2::254]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[ff05::1:3]/",
    "http://[2001:db8::1]/",
    "http://[100::1]/",
]
"""Hosts that are addresses: refused before anything is resolved."""

SPELLINGS = [
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.1/",
    "http://127.1/",
    "http://127.0.1/",
    "http://0177.0.0.1/",
    "http://0/",
    "http://localhost/",
    "http://LOCALHOST/",
    "http://127.0.0.1./",
    "http://①②⑦.⓪.⓪.①/",
    "http://127。0。0。1/",
    "http://0251.0376.0251.0376/",
    "http://2852039166/",
]
"""Hosts that the system's resolver reads as addresses; refused when they are resolved."""

NOT_WEB = [
    "ftp://example.org/",
    "file:///etc/passwd",
    "gopher://example.org:70/",
    "unix:///var/run/docker.sock",
    "http:///nowhere",
    "//example.org/",
    "example.org",
    "http://user:password@example.org/",
    "http://127.0.0.1\\@example.org/",
    "javascript:alert(1)",
    "http://[::1/",
    "http://example.org:99999/",
    "",
]


@pytest.mark.parametrize("url", LITERALS + NOT_WEB)
def test_a_forbidden_address_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(TargetForbidden):
        TargetGuard().read(url)


@pytest.mark.parametrize("url", LITERALS + SPELLINGS)
async def test_no_socket_is_ever_opened_to_a_forbidden_address(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: connected.append(address))
    with pytest.raises(TargetForbidden):
        await get(client(allow_private_targets=False), url)
    assert connected == []


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::8.8.8.8", "::ffff:8.8.8.8"],
)
def test_public_addresses_may_be_called(address: str) -> None:
    assert forbidden_reason(address) is None


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "::1", "fd00::1", "100.64.0.1"])
def test_private_addresses_may_be_called_where_the_operator_says_so(address: str) -> None:
    assert forbidden_reason(address) is not None
    assert forbidden_reason(address, allow_private=True) is None


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "168.63.129.16", "::ffff:169.254.169.254", "0.0.0.0", "ff02::1"]
)
def test_metadata_servers_and_the_like_are_never_called(address: str) -> None:
    assert forbidden_reason(address, allow_private=True) is not None


def test_an_allow_list_admits_its_hosts_and_names_below_a_star() -> None:
    guard = TargetGuard(allowed_hosts=("api.example.org", "*.example.com"))
    guard.read("https://API.example.org./v1")
    guard.read("https://a.b.example.com/")
    for other in ("https://example.com/", "https://example.org/", "https://evilexample.com/"):
        with pytest.raises(TargetForbidden, match="JOBFLEET_ALLOWED_HOSTS"):
            guard.read(other)
