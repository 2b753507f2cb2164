"""No line of a moved fleet holds what no export writes: each field of each kind of line is tried.

A refusal names the field, so that people who look at the file find it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from jobfleet_contracts.codec import decode, encode
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.event import Event, HeldLock
from jobfleet_contracts.lease import job_lock, key_lock, limit_lock, worker_lock
from jobfleet_protocol.actions.bulk_action import ids_name
from jobfleet_protocol.moving.event_form import check_event_form
from jobfleet_protocol.moving.item_form import check_item_form
from jobfleet_protocol.moving.item_line import (
    check_export,
    header_line,
    header_of_line,
    item_line,
    item_of_line,
)
from jobfleet_protocol.moving.move_item import (
    MovedBlob,
    MovedLog,
    MovedNote,
    MovedRate,
    MoveHeader,
    MoveItem,
    label,
)
from tests.conformance.jobs import after, queued
from tests.protocol.test_entry_form import ENTRIES

ID = "6e4e1c5e-2b7d-5c3f-9a51-0c9c1f2f7d11"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TURN = {"turn": "3", "job": ID, "epoch": "1"}


def _events() -> Iterator[Event]:
    first = queued(lock_key="customer-1", lock_slots=2, queue="mail", job_name="nightly")
    yield first
    lock = f"{key_lock('customer-1')}/2/1"
    begun = after(
        first,
        "Started",
        worker_id="w1",
        lock=lock,
        lock_turn=3,
        locks=(HeldLock(limit_lock("crm", 1), 1),),
    )
    yield begun
    step = after(begun, "Step 1", worker_id="w1", message="half\tway\n\x1b[31m")
    yield step
    yield after(step, "Deferred", worker_id="w1", data={"reason": "handler"})
    yield after(first, "Cancelled").without_values()


OTHERS: list[MoveItem] = [
    MovedNote(key_lock("customer-1"), TURN),
    MovedNote(limit_lock("crm", 1), TURN),
    MovedNote(worker_lock("w1", 2), TURN),
    MovedNote("fleet/all", TURN),
    MovedRate("limit/crm", NOON),
    MovedRate("type/crm.sync", NOON),
    MovedBlob(ids_name(ID), encode([ID])),
    MovedLog(ID, 1, 0, b"a line\n"),
]
ITEMS: list[MoveItem] = [*_events(), *ENTRIES, *OTHERS]
NAMES = [f"{number}-{type(item).__name__}" for number, item in enumerate(ITEMS)]
HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.0, 1.5, 2**31, 2**53, 2**63, [], [1], {}, {"a": 1}, [[]]),
    *("", " ", "x\x1b[31m", "a\0b", "../../message-key", "x" * 50_000, "²", "\u202e", "\u0661"),
    *("job/aa/x", "fleet/rescuer", "handed/aa/x", "limit/a b/1", "true", "Step x", "Step 01"),
    *("2026-03-01T12:00:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59Z", "soon"),
)
FREE: Mapping[str, Callable[[Any], bool]] = {
    "message": lambda value: isinstance(value, str) and "\0" not in value and len(value) <= 4_000,
    "data": lambda value: isinstance(value, dict),
    "body": lambda value: isinstance(value, str) and value.isascii() and value != "",
    "jobName": lambda value: value in ("", " ", "../../message-key", *HOSTILE[-16:]),
    "details": lambda value: value == {},
}
"""Fields that may hold almost anything: readers mask and escape them."""
_FLAGS = ("sent", "cancelRequested", "dismissed", "complete")
_NUMBERS = (
    *("epoch", "attempt", "attemptsUsed", "maxAttempts", "incarnation", "priority", "takeovers"),
    *("maxTakeovers", "lifecycleBefore", "durationMs", "lockTurn", "sequence", "lockSlots"),
    "position",
)
_PEOPLE = (
    *("workerId", "claimedBy", "by", "reason", "entryId", "sealedBy", "lockKey", "salt"),
    *("dataHash", "textHash", "hash", "backend", "name"),
)


def _may_be(field: str, value: Any) -> bool:
    """Whether some export may write this, so that no check of one line can refuse it."""
    if field in FREE:
        return FREE[field](value)
    if value is None:
        return field in ("workerId", "claimedBy", "lockTurn", "durationMs", "dueAt", "lock") or (
            field in ("dataHash", "textHash", "hash")
        )
    if isinstance(value, bool):
        return field in _FLAGS
    if isinstance(value, int):
        return field in _NUMBERS and -1 <= value < 2**53
    if field in ("type", "queue"):
        return value in ("true", "soon")
    if isinstance(value, str):
        plain = "\0" not in value and "\x1b" not in value and len(value) <= 200
        return field in _PEOPLE and plain
    return field == "locks" and value == []


def _lines(line: bytes) -> Iterator[tuple[str, Any, bytes]]:
    """Yield hostile forms of a line, each with the field and the value."""
    fields = decode(line)
    for name in fields:
        for value in HOSTILE:
            yield name, value, encode({**fields, name: value}) + b"\n"
        left = {field: value for field, value in fields.items() if field != name}
        yield name, "left out", encode(left) + b"\n"
        twice = line[:-2] + b"," + encode({name: fields[name]})[1:] + b"\n"
        yield name, "twice", twice
    yield "unknown", 1, encode({**fields, "unknown": 1}) + b"\n"
    yield "\x1b[2J", 1, encode({**fields, "\x1b[2J": 1}) + b"\n"


def _taken(line: bytes, read: Callable[[bytes, Mapping[str, Any]], object]) -> str | None:
    """Return why a line is refused, ``None`` if it is taken."""
    try:
        fields = decode(line)
        read(line, fields)
    except InvalidRequest as error:
        return str(error)
    return None


@pytest.mark.parametrize("item", ITEMS, ids=NAMES)
def test_no_hostile_value_of_any_field_is_taken_and_the_refusal_names_the_field(
    item: MoveItem,
) -> None:
    check_export(item)
    assert item_of_line(item_line(item), decode(item_line(item))) == item
    assert label(item)
    for name, value, line in _lines(item_line(item)):
        problem = _taken(line, item_of_line)
        if problem is None:
            assert line == item_line(item) or _may_be(name, value), (name, value)
        elif value not in ("twice", "left out", 2**63):
            named = {"salt": "erased", "dataHash": "erased", "lockKey": "lockSlots"}.get(name, name)
            assert name in problem or named in problem, (name, value, problem)
            assert len(problem) < 600


def test_no_hostile_value_of_the_first_line_is_taken() -> None:
    line = header_line(MoveHeader(ID, "embedded", "ada", NOON))
    assert _taken(line, header_of_line) is None
    for name, value, changed in _lines(line):
        if _taken(changed, header_of_line) is None:
            assert _may_be(name, value), (name, value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("lock", lock) for lock in ("key/x", "message-key", f"{job_lock(ID)}/..", "fleet/none")),
        *(("queue", name) for name in ("Mail", "a b", "../x", "x" * 51)),
        *(("type", name) for name in ("a b", "../x", "x" * 101)),
        *(("jobId", name) for name in (ID.upper(), "../x", f"{ID}\n")),
        *(("eventId", name) for name in ("../../message-key", "unreadable/x/1")),
        *(("status", name) for name in ("Step x", "Step 01", "Unreadable", "Newer", "queued")),
        ("lockKey", None),
        ("locks", [{"lock": "../x", "turn": 1}]),
        ("locks", [{"lock": limit_lock("crm", 1), "turn": 0}]),
        ("locks", [{"lock": limit_lock("crm", 1), "turn": 1, "x": 1}]),
    ],
)
def test_what_steers_workers_is_checked_as_a_submit_checks_it(field: str, value: Any) -> None:
    fields = decode(item_line(ITEMS[1])) | {field: value}
    with pytest.raises(InvalidRequest) as refused:
        item_of_line(encode(fields) + b"\n", fields)
    assert field in str(refused.value) or field == "lockKey"


@pytest.mark.parametrize(
    "note",
    [
        {},
        TURN | {"turn": "0"},
        TURN | {"turn": "03"},
        TURN | {"turn": "\u0661"},
        TURN | {"turn": "x"},
        TURN | {"job": "../x"},
        TURN | {"epoch": str(2**63)},
        TURN | {"x": "1"},
        {"turn": "3", "job": ID},
    ],
)
def test_a_note_that_no_claim_writes_is_refused(note: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest, match=r"^note"):
        check_item_form(MovedNote(key_lock("k"), note))
    with pytest.raises(InvalidRequest, match=r"^lock"):
        check_item_form(MovedNote(job_lock(ID), TURN))


@pytest.mark.parametrize("name", ["", "message-key", f"../{ids_name(ID)}", f"{ids_name(ID)}\n"])
def test_a_value_under_another_name_than_an_actions_ids_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^blob"):
        check_item_form(MovedBlob(name, encode([ID])))
    for body in (b"", b"{}", b'["x"]', b"[1]"):
        with pytest.raises(InvalidRequest, match=r"^body"):
            check_item_form(MovedBlob(ids_name(ID), body))


def test_every_event_of_a_job_repeats_facts_that_a_submit_takes() -> None:
    for item in ITEMS:
        if isinstance(item, Event):
            check_event_form(item)
