"""The address of a database is named without its password, however badly the URL is written."""

from __future__ import annotations

import itertools

import psycopg
import pytest

from jobfleet_backends.postgres.connection import Address

PARTS = ("P4ss", "w0rd")
"""Halves of the password: an odd sign stands before, between and behind them."""
ODD = ("", "/", "@", ":", "?", "#", "%", "=", "&", " ", "[", "]", "\\", "'", "//", "://")


@pytest.mark.parametrize("user", ["me", "me@corp"])
def test_no_part_of_a_password_is_shown(user: str) -> None:
    for signs in itertools.product(ODD, repeat=3):
        password = f"{signs[0]}{PARTS[0]}{signs[1]}{PARTS[1]}{signs[2]}"
        url = f"postgresql://{user}:{password}@db:1/jobs"
        try:
            shown = Address(url).shown
        except ValueError as error:
            shown = str(error)
        assert not any(part in shown for part in PARTS), url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:P4ss%2Fw0rd@db:5433/jobs", "db:5433/jobs"),
        ("postgresql:///jobs?host=/run/postgresql", "/run/postgresql:5432/jobs"),
        ("postgresql://a:1,b:2/jobs?application_name=me%40here", "a:1,b:2/jobs"),
        ("host=db dbname=jobs user=me password='P4ss/@w0rd'", "db:5432/jobs"),
        ("postgresql://me@db/jobs", "db:5432/jobs"),
    ],
)
def test_a_right_address_is_taken(url: str, shown: str) -> None:
    assert Address(url).shown == shown


def test_a_password_in_the_place_of_the_port_is_not_repeated() -> None:
    with pytest.raises(ValueError, match="port that is not a number") as refused:
        Address("postgresql://me:P4ss")
    assert "P4ss" not in str(refused.value)


def test_an_address_that_cannot_be_reached_is_explained_without_the_password() -> None:
    address = Address("postgresql://me:P4ss%2Fw0rd@127.0.0.1:1/jobs")
    with pytest.raises(psycopg.Error) as refused:
        address.connect(seconds=1)
    assert "P4ss" not in str(address.explain(refused.value))
