"""A file of a move holds what an export writes, whole and in its order."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from jobfleet_contracts.codec import encode
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.job_id import new_id
from jobfleet_protocol.actions.bulk_action import ids_name
from jobfleet_protocol.moving.move_file import MoveWriter, read_items
from jobfleet_protocol.moving.move_item import MovedBlob, MovedLog, MoveHeader, MoveItem
from tests.conformance.jobs import after, queued
from tests.protocol.test_control_check import limits

ID = new_id()
HEADER = MoveHeader(ID, "embedded", "ada", datetime(2026, 1, 31, tzinfo=UTC))


def lines_of(*items: MoveItem) -> list[bytes]:
    writer = MoveWriter()
    return [writer.header(HEADER), *map(writer.item, items), writer.footer()]


@pytest.mark.parametrize(
    "item", [MovedBlob(ids_name(ID), encode([ID])), MovedLog(ID, 1, 0, b"line")]
)
def test_what_an_export_writes_is_read(item: MoveItem) -> None:
    assert list(read_items(lines_of(item))) == [item]


def test_each_job_and_each_log_stands_in_one_place_in_order() -> None:
    first, other = queued(), queued()
    second = after(first, "Cancelled")
    control = limits()
    assert len(list(read_items(lines_of(first, second, other, *control)))) == 5
    wrong: Sequence[tuple[int, Sequence[MoveItem]]] = (
        (4, (first, other, second)),
        (3, (second, first)),
        (3, (first, first)),
        (3, control[::-1]),
        (4, (control[0], other, control[1])),
    )
    for number, items in wrong:
        with pytest.raises(InvalidRequest, match=rf"^line {number}: .*export the fleet again"):
            list(read_items(lines_of(*items)))


@pytest.mark.parametrize("body", [b"[]", b"5", b"no JSON", b'{"lock":', b"\xff", b"null", b""])
def test_a_line_that_is_no_object_is_refused_with_its_number(body: bytes) -> None:
    header, _, footer = lines_of(MovedBlob(ids_name(ID), b64encode(b"ids")))
    with pytest.raises(InvalidRequest, match=r"^line 2: .*export the fleet again"):
        list(read_items([header, body + b"\n", footer]))


@pytest.mark.parametrize("change", [(b"}}", b'},"x":1}'), (b":1,", b":true,"), (b"{", b"{ ")])
def test_a_last_line_of_another_form_is_refused(change: tuple[bytes, bytes]) -> None:
    *others, footer = lines_of(queued())
    changed = footer.replace(*change)
    assert changed != footer
    with pytest.raises(InvalidRequest, match=r"^line 3: "):
        list(read_items([*others, changed]))
