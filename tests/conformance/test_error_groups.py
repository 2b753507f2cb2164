"""JobIndexReader: failures by what failed where, and the jobs that stand in a group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.error_group import (
    MAX_SAMPLE_CHARACTERS,
    MOST_GROUPS,
    NO_HANDLER,
    OTHER,
    ErrorGroup,
    ErrorKey,
    dead_group_of,
)
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import IndexedEvent, JobQuery
from tests.conformance.jobs import BEGIN, after, completed, queued, started, write

NOON = BEGIN.replace(minute=0, second=0) - timedelta(hours=2)
MINUTE = timedelta(minutes=1)


def _failed(
    moment: datetime, *, error: str = "OSError", place: str = "crm.sync", message: str = "no answer"
) -> list[Event]:
    """A job that ended at a moment, by an error at a place."""
    first = queued(begin=moment - timedelta(seconds=2))
    data = {"error": {"type": error, "message": message, "traceback": "…", "place": place}}
    second = started(first)
    return [first, second, after(second, "Failed", worker_id="w1", message=message, data=data)]


def _without_handler(job_type: str) -> Event:
    """The last event of a job whose type no worker has."""
    last = _failed(NOON, error=NO_HANDLER, place="", message=f"no handler for {job_type!r}")[2]
    return replace(last, facts=replace(last.facts, job_type=job_type))


async def _groups(backend: Backend, since: datetime = NOON) -> Sequence[ErrorGroup]:
    return (await backend.reader.errors(since=since, step="minute")).groups


def _counts(groups: Sequence[ErrorGroup]) -> dict[str, int]:
    return {group.key.error: group.total.jobs for group in groups}


async def _jobs_of(backend: Backend, event: Event) -> list[str]:
    page = await backend.reader.jobs(JobQuery(error_group=dead_group_of(event), limit=2))
    found = [row.facts.job_id for row in page.items]
    while page.next:
        query = JobQuery(error_group=dead_group_of(event), limit=2, cursor=page.next)
        page = await backend.reader.jobs(query)
        found += [row.facts.job_id for row in page.items]
    return found


async def test_failures_are_counted_by_type_class_and_place(backend: Backend) -> None:
    for life in (
        _failed(NOON),
        _failed(NOON + MINUTE, message="later"),
        _failed(NOON, error="KeyError"),
        _failed(NOON, place="mail.send"),
    ):
        await write(backend, *life)
    largest, *others = await _groups(backend)
    assert largest.key == ErrorKey("demo.steps", "OSError", "crm.sync")
    assert (largest.message, largest.first_at, largest.last_at) == ("later", NOON, NOON + MINUTE)
    assert {start: one.jobs for start, one in largest.steps.items()} == {NOON: 1, NOON + MINUTE: 1}
    assert sorted((one.key.error, one.key.place) for one in others) == [
        ("KeyError", "crm.sync"),
        ("OSError", "mail.send"),
    ]


async def test_attempts_that_are_retried_count_apart_from_jobs_that_ended(backend: Backend) -> None:
    first = queued(begin=NOON)
    data = {"error": {"type": "OSError", "message": "m", "traceback": "", "place": "crm.sync"}}
    failed = after(started(first), "AttemptFailed", worker_id="w1", data=data)
    await write(backend, first, started(first), failed)
    await write(backend, *_failed(NOON))
    (group,) = await _groups(backend)
    assert (group.total.jobs, group.total.retried) == (1, 1)


async def test_counts_of_hours_are_those_of_their_minutes(backend: Backend) -> None:
    for minutes in (0, 5, 65):
        await write(backend, *_failed(NOON + MINUTE * minutes))
    (group,) = (await backend.reader.errors(since=NOON + MINUTE * 5, step="hour")).groups
    hour = timedelta(hours=1)
    assert {start: one.jobs for start, one in group.steps.items()} == {NOON: 2, NOON + hour: 1}
    (group,) = await _groups(backend, NOON + MINUTE * 4.5)
    assert group.total.jobs == 2
    assert await _groups(backend, NOON + MINUTE * 66) == []


async def test_a_failure_that_is_written_to_the_index_again_counts_once(backend: Backend) -> None:
    life = _failed(NOON)
    await write(backend, *life)
    await backend.index.record(life)
    assert _counts(await _groups(backend)) == {"OSError": 1}


async def test_failures_of_all_processes_are_added_up_and_counted_anew(
    backend: Backend, other: Backend
) -> None:
    lives = [_failed(NOON + MINUTE * minutes) for minutes in (0, 1, 60)]
    for writer, life in zip((backend, other, other), lives, strict=True):
        await write(writer, *life)
    assert _counts(await _groups(backend)) == {"OSError": 3}
    await other.index.begin_rebuild(now=NOON + timedelta(minutes=70))
    for life in lives:
        await other.index.record(life)
    assert _counts(await _groups(backend)) == {"OSError": 3}


async def test_groups_too_many_for_an_hour_count_as_other(backend: Backend) -> None:
    events = [_failed(NOON, error=f"E{number}")[2] for number in range(MOST_GROUPS + 3)]
    for event in events:
        await backend.trail.insert([replace(event, after=replace(event.after, sequence=3))])
    await backend.index.record(events)
    groups = await _groups(backend)
    assert sum(group.total.jobs for group in groups) == MOST_GROUPS + 3
    assert len(groups) <= MOST_GROUPS + 1
    assert (groups[-1].key, groups[-1].total.jobs > 1) == (OTHER, True)


async def test_jobs_of_invented_types_take_one_group_and_hide_no_later_failure(
    backend: Backend,
) -> None:
    invented = [_without_handler(f"invented.{number}") for number in range(MOST_GROUPS + 60)]
    late = _failed(NOON)[2]
    for event in (*invented, late):
        await backend.trail.insert([replace(event, after=replace(event.after, sequence=3))])
    await backend.index.record([*invented, late])
    groups = await _groups(backend)
    assert [(group.key, group.total.jobs) for group in groups] == [
        (ErrorKey("", NO_HANDLER, ""), MOST_GROUPS + 60),
        (ErrorKey("demo.steps", "OSError", "crm.sync"), 1),
    ]
    assert {dead_group_of(event) for event in invented} == {groups[0].key.group_id}


async def test_trimming_forgets_old_counts_only(backend: Backend) -> None:
    await write(backend, *_failed(NOON - timedelta(hours=1)))
    await write(backend, *_failed(NOON))
    await backend.index.trim(before=NOON)
    (group,) = (await backend.reader.errors(since=NOON - timedelta(days=1), step="hour")).groups
    assert group.total.jobs == 1


async def test_the_jobs_of_a_group_are_the_dead_ones_that_failed_so_last(backend: Backend) -> None:
    lives = [_failed(NOON + MINUTE * number) for number in range(6)]
    for life in (*lives, _failed(NOON, error="KeyError")):
        await write(backend, *life)
    dismissed, redriven, failed_otherwise = (life[-1] for life in lives[:3])
    await write(backend, after(dismissed, "Dismissed"))
    await write(backend, after(redriven, "Redriven"))
    again = after(failed_otherwise, "Redriven")
    data = {"error": {"type": "KeyError", "message": "m", "traceback": "", "place": "crm.sync"}}
    begun = started(again)
    await write(backend, again, begun, after(begun, "Failed", worker_id="w1", data=data))
    assert await _jobs_of(backend, lives[3][-1]) == [life[0].job_id for life in lives[:2:-1]]


async def test_a_redriven_job_that_completed_stands_in_no_group(backend: Backend) -> None:
    life = _failed(NOON)
    await write(backend, *life)
    assert await _jobs_of(backend, life[-1]) == [life[0].job_id]
    again = after(life[-1], "Redriven")
    await write(backend, again, started(again), completed(started(again)))
    assert await _jobs_of(backend, life[-1]) == []


async def test_a_job_taken_out_of_the_index_stands_in_no_group(backend: Backend) -> None:
    life = _failed(NOON)
    await write(backend, *life)
    assert backend.retention is not None
    places = [
        IndexedEvent(event.job_id, event.sequence, event.occurred_at, dead_group_of(event))
        for event in life
    ]
    await backend.retention.unlist(places)
    assert await _jobs_of(backend, life[-1]) == []


async def test_the_message_of_a_group_is_not_cut_within_a_credential(backend: Backend) -> None:
    secret = "zebra" * 10
    for shift in range(0, 60, 5):
        text = f"{'.' * (MAX_SAMPLE_CHARACTERS - 60 + shift)} pg://u:{secret}@host refused"
        await write(backend, *_failed(NOON, place=f"at {shift}", message=text))
    groups = await _groups(backend)
    assert len(groups) == 12
    for group in groups:
        assert len(group.message) <= MAX_SAMPLE_CHARACTERS
        assert "zebra" not in group.to_json()["message"]
