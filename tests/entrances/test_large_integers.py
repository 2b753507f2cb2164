"""Integers beyond 64 bits are refused by name at every entrance, never rounded."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobfleet_contracts.codec import decode
from jobfleet_contracts.errors import InvalidRequest
from tests.entrances.entrances import ANSWERING, Site

TOO_LARGE = (2**64, -(2**63) - 1, 10**30)
AS_TEXT = ("POST /api/jobs", "POST /api/jobs/bulk", "jobfleet publish --file", "library, many")


@pytest.mark.parametrize("entrance", AS_TEXT)
@pytest.mark.parametrize("number", TOO_LARGE[:2])
async def test_they_are_refused_naming_the_field(entrance: str, number: int, site: Site) -> None:
    request: dict[str, Any] = {"type": "mail.send", "payload": {"rows": [{"id": number}]}}
    send = ANSWERING[entrance]
    try:
        refusal = await send(site, request)
    except KeyError:  # the whole bulk request was refused
        refusal = "payload"
    assert refusal is not None
    assert "payload" in refusal
    assert not (await site.backend.reader.open_rows()).items


@pytest.mark.parametrize("number", TOO_LARGE)
@pytest.mark.parametrize("place", ["payload", "payload.id", "payload.0.id", "body"])
def test_the_place_is_named(number: int, place: str) -> None:
    value: Any = number
    for name in reversed(place.split(".") if place != "body" else []):
        value = [value] if name == "0" else {name: value}
    with pytest.raises(InvalidRequest, match="64 bits") as refused:
        decode(json.dumps(value))
    assert refused.value.field == place


@pytest.mark.parametrize("number", [2**64 - 1, -(2**63), 2**53 + 1, 0])
def test_those_within_64_bits_stay_exact(number: int) -> None:
    assert decode(json.dumps({"id": number})) == {"id": number}


def test_thousands_of_digits_are_refused_as_well() -> None:
    with pytest.raises(InvalidRequest):
        decode('{"id": ' + "1" * 10_000 + "}")
    with pytest.raises(InvalidRequest):
        decode("[" * 900 + str(2**64) + "]" * 900)


@pytest.mark.parametrize("text", ["1" * 400, "18446744073709551616"])
def test_digits_in_a_text_are_no_number(text: str) -> None:
    assert decode(json.dumps({"id": text, "part": 1.5})) == {"id": text, "part": 1.5}
