"""A file of a move holds what an export writes, and no line of another form is taken."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import pytest

from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.job_id import new_id
from jobfleet_protocol.actions.bulk_action import ids_name
from jobfleet_protocol.moving.move_file import (
    MovedBlob,
    MovedLog,
    MoveHeader,
    MoveItem,
    MoveWriter,
    read_items,
)

ID = new_id()


def lines_of(item: MoveItem) -> list[bytes]:
    writer = MoveWriter()
    header = MoveHeader(ID, "embedded", "ada", datetime(2026, 1, 31, tzinfo=UTC))
    return [writer.header(header), writer.item(item), writer.footer()]


@pytest.mark.parametrize("item", [MovedBlob(ids_name(ID), b"ids"), MovedLog(ID, 1, 0, b"line")])
def test_what_an_export_writes_is_read(item: MoveItem) -> None:
    assert list(read_items(lines_of(item))) == [item]


@pytest.mark.parametrize(
    "item",
    [
        *(
            MovedBlob(name, b"value")
            for name in (
                "",
                "message-key",
                f"../{ids_name(ID)}",
                f"{ID}/../ids",
                f"{ids_name(ID)}\n",
            )
        ),
        *(MovedLog(name, 1, 0, b"line") for name in ("", "../x", f"{ID}/1", ID.upper())),
        *(MovedLog(ID, epoch, 0, b"line") for epoch in (0, -1, 2**63 - 1)),
        *(MovedLog(ID, 1, position, b"line") for position in (-1, 2**63 - 1)),
    ],
)
def test_a_name_or_place_that_no_export_writes_is_refused_with_its_line(item: MoveItem) -> None:
    with pytest.raises(InvalidRequest, match="line 2: not a file"):
        list(read_items(lines_of(item)))


@pytest.mark.parametrize(
    "fields",
    [
        {"blob": 1, "body": ""},
        {"blob": ids_name(ID), "body": "no base64!"},
        {"log": ID, "epoch": True, "position": "0", "body": ""},
        {"rate": "a", "moment": "soon"},
        {"lock": "a", "note": []},
        {"jobId": "\x1b[2J"},
        {},
    ],
)
def test_a_line_of_another_form_is_refused_with_its_number(fields: dict[str, Any]) -> None:
    header, _, footer = lines_of(MovedBlob(ids_name(ID), b64encode(b"ids")))
    with pytest.raises(InvalidRequest, match=r"^line 2: "):
        list(read_items([header, json.dumps(fields).encode() + b"\n", footer]))
