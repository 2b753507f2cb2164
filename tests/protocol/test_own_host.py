"""Which addresses and ``Host`` headers are this machine's."""

import pytest

from jobfleet_contracts.own_host import is_loopback, is_own_host

OWN = ["localhost", "LOCALHOST", "app.localhost", "127.0.0.1", "127.9.9.9", "[::1]"]
OTHERS = [
    "evil.example",
    "localhost.evil.example",
    "0.0.0.0",
    "10.0.0.1",
    "[::2]",
    "",
    "127.0.0.1.x",
]


@pytest.mark.parametrize("host", OWN)
def test_names_and_addresses_of_this_machine_are_its_own_with_and_without_a_port(host: str) -> None:
    assert is_loopback(host)
    assert is_own_host(host)
    assert is_own_host(f"{host}:8000")


@pytest.mark.parametrize("host", OTHERS)
def test_all_others_are_not(host: str) -> None:
    assert not is_loopback(host)
    assert not is_own_host(host)


@pytest.mark.parametrize(
    "host", ["[::1].evil.example", "localhost:80:80", "localhost:x", "a@localhost", "localhost/"]
)
def test_the_whole_header_has_to_be_one(host: str) -> None:
    assert not is_own_host(host)
