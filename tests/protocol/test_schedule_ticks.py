"""When schedules are due: zones, changes of clocks, leap days, intervals, odd lines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest

from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.schedule import Schedule

ANCHOR = datetime(2020, 1, 1, tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def ticks(cron: str, zone: str, after: str, count: int) -> list[str]:
    schedule = Schedule(name="s", type="x", cron=cron, timezone=zone)
    found = islice(schedule.ticks(utc(after), anchor=ANCHOR), count)
    return [tick.strftime("%m-%dT%H:%M") for tick in found]


# Local noon before the change; the ticks that follow, in UTC. Debian's rules: a fixed time in the
# missing hour fires once right after it, a fixed time in the doubled hour fires once, and a
# repeating line goes on through both.
CHANGES = [
    ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", ["03-29T01:00", "03-30T00:30"]),
    ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", ["10-25T00:30", "10-26T01:30"]),
    ("30 2 * * *", "America/New_York", "2026-03-07T17:00", ["03-08T07:00", "03-09T06:30"]),
    ("30 1 * * *", "America/New_York", "2026-10-31T17:00", ["11-01T05:30", "11-02T06:30"]),
    ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T02:00", ["10-03T15:30", "10-04T15:15"]),
    ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T02:00", ["04-04T14:45", "04-05T15:15"]),
    ("30 2 * * *", "UTC", "2026-03-28T12:00", ["03-29T02:30", "03-30T02:30"]),
    ("30 2 * * *", "UTC", "2026-10-24T12:00", ["10-25T02:30", "10-26T02:30"]),
]


@pytest.mark.parametrize(("cron", "zone", "after", "expected"), CHANGES)
def test_a_daily_time_fires_once_a_day_when_clocks_change(
    cron: str, zone: str, after: str, expected: list[str]
) -> None:
    assert ticks(cron, zone, after, len(expected)) == expected


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "UTC"])
@pytest.mark.parametrize("day", ["2026-03-28T23:00", "2026-10-24T22:00", "2026-03-08T04:00"])
def test_a_line_of_every_ten_minutes_has_no_gap_and_no_double(zone: str, day: str) -> None:
    schedule = Schedule(name="s", type="x", cron="*/10 * * * *", timezone=zone)
    found = list(islice(schedule.ticks(utc(day), anchor=ANCHOR), 200))
    gaps = {after - before for before, after in pairwise(found)}
    assert gaps == {timedelta(minutes=10)}


def test_lord_howe_moves_by_half_an_hour_and_ten_minute_ticks_go_on() -> None:
    schedule = Schedule(name="s", type="x", cron="*/10 * * * *", timezone="Australia/Lord_Howe")
    found = list(islice(schedule.ticks(utc("2026-10-03T12:00"), anchor=ANCHOR), 60))
    gaps = {after - before for before, after in pairwise(found)}
    assert gaps == {timedelta(minutes=10)}


def test_a_leap_day_fires_in_leap_years_only() -> None:
    schedule = Schedule(name="s", type="x", cron="0 6 29 2 *", timezone="UTC")
    found = islice(schedule.ticks(utc("2026-01-01T00:00"), anchor=ANCHOR), 2)
    assert [tick.year for tick in found] == [2028, 2032]


def test_a_zone_that_changes_its_rules_keeps_local_time() -> None:
    """North Korea moved its clocks by half an hour on 4 May 2018, for good."""
    found = ticks("0 6 * * *", "Asia/Pyongyang", "2018-05-03T12:00", 3)
    assert found == ["05-03T21:30", "05-04T21:00", "05-05T21:00"]


def test_an_interval_counts_from_its_anchor_without_drift() -> None:
    schedule = Schedule(name="s", type="x", every=timedelta(seconds=2))
    after = ANCHOR + timedelta(seconds=7.3)
    found = list(islice(schedule.ticks(after, anchor=ANCHOR), 3))
    assert [(tick - ANCHOR).total_seconds() for tick in found] == [8, 10, 12]
    start = ANCHOR + timedelta(seconds=1)
    later = Schedule(name="s", type="x", every=timedelta(seconds=2), start=start)
    found = list(islice(later.ticks(ANCHOR - timedelta(days=9), anchor=ANCHOR), 2))
    assert [(tick - ANCHOR).total_seconds() for tick in found] == [1, 3]


def test_no_tick_lies_before_the_start() -> None:
    start = utc("2026-06-01T12:00")
    schedule = Schedule(name="s", type="x", cron="0 12 * * *", start=start)
    first = next(schedule.ticks(ANCHOR, anchor=ANCHOR))
    assert first == start


def test_jitter_is_always_the_same_and_differs_by_name() -> None:
    tick = utc("2026-06-01T12:00")
    shifts = set()
    for name in ("a", "b", "c"):
        made = [
            Schedule(name=name, type="x", cron="0 12 * * *", jitter_seconds=600.0) for _ in range(2)
        ]
        assert made[0].due_at(tick) == made[1].due_at(tick)
        shifts.add(made[0].due_at(tick) - tick)
    assert len(shifts) == 3
    assert all(timedelta(0) <= shift < timedelta(minutes=10) for shift in shifts)


@pytest.mark.parametrize(
    ("declaration", "field", "says"),
    [
        ({"type": "x"}, "cron", "either cron or everySeconds"),
        ({"type": "x", "cron": "* * * * *", "everySeconds": 5}, "cron", "not both"),
        ({"type": "x", "cron": "0 0 30 2 *"}, "cron", "day-of-month"),
        ({"type": "x", "cron": "0 0 31 4,6 *"}, "cron", "day-of-month"),
        ({"type": "x", "cron": "61 * * * *"}, "cron", "minute"),
        ({"type": "x", "cron": "* * *"}, "cron", "number of fields"),
        ({"type": "x", "cron": "@daily"}, "cron", "number of fields"),
        ({"type": "x", "cron": ""}, "cron", "cannot be read"),
        ({"type": "x", "cron": "* * * * *", "timezone": "Mars/X"}, "timezone", "IANA"),
        ({"type": "x", "cron": "* * * * *", "timezone": "../etc"}, "timezone", "IANA"),
        ({"type": "x", "cron": "* * * * *", "timezone": ""}, "timezone", "IANA"),
        ({"type": "x", "everySeconds": 0.5}, "everySeconds", "greater than or equal to 1"),
        ({"type": "x", "everySeconds": float("nan")}, "everySeconds", ""),
        ({"type": "a b", "everySeconds": 5}, "type", "pattern"),
        ({"type": "x", "everySeconds": 5, "runAt": "2026-01-01T00:00:00Z"}, "runAt", "schedule"),
        ({"type": "x", "everySeconds": 5, "jobId": "1"}, "jobId", "schedule"),
        ({"type": "x", "everySeconds": 5, "foo": 1}, "foo", "unknown field"),
        ({"type": "x", "everySeconds": 5, "overlap": "no"}, "overlap", "skip"),
        ({"type": "x", "everySeconds": 5, "catchUp": "some"}, "catchUp", "none"),
        ({"type": "x", "everySeconds": 5, "jitterSeconds": -1}, "jitterSeconds", "0"),
        ({"type": "x", "everySeconds": 5, "start": "tomorrow"}, "start", "time"),
        ({"type": "x", "everySeconds": 5, "start": "9999-12-31T00:00:00Z"}, "start", "year 9000"),
        (["x"], "body", "object"),
    ],
)
def test_a_declaration_that_cannot_work_names_the_field(
    declaration: object, field: str, says: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Schedule.parse("s", declaration)
    assert caught.value.field == field
    assert says in str(caught.value)


@pytest.mark.parametrize("name", ["", "a/b", "a~b", "ü", "x" * 101])
def test_a_name_that_cannot_be_a_key_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest):
        Schedule.parse(name, {"type": "x", "everySeconds": 5})


def test_a_schedule_survives_its_stored_form() -> None:
    made = Schedule(
        name="daily",
        type="report",
        cron="0 6 * * MON-FRI",
        timezone="Europe/Berlin",
        payload={"kind": "daily"},
        overlap="queue",
        catch_up="all",
        lock_key="k",
        priority=9,
        start=utc("2026-06-01T12:00"),
    )
    again = Schedule.from_json("daily", made.to_json())
    assert again.to_json() == made.to_json()
    assert again.digest() == made.digest()
