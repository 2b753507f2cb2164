"""Attempts, events, groups and the other small models."""

from datetime import timedelta

import pytest

from jobfleet_contracts.event import Event
from jobfleet_contracts.index import JobRow
from jobfleet_contracts.state import State, Status
from jobfleet_contracts.worker_status import WorkerStatus
from jobfleet_dashboard.views.endings_chart import BASE, Bucket, draw_endings
from jobfleet_dashboard.views.event_row import TONES, event_row, history_rows
from jobfleet_dashboard.views.job.attempt_row import attempt_rows
from jobfleet_dashboard.views.job.job_actions import buttons_for
from jobfleet_dashboard.views.jobs.job_row import row_of
from jobfleet_dashboard.views.json_text import MAX_CHARACTERS, json_text
from jobfleet_dashboard.views.workers.worker_row import worker_rows
from jobfleet_protocol.reading.durations import spell
from jobfleet_protocol.trail.transitions import Change
from tests.dashboard.views.story import WORKER, at, failed, life, retry, started, step


@pytest.mark.parametrize(
    ("seconds", "spelled"),
    [
        (-1, "0 s"),
        (0.04, "40 ms"),
        (1.44, "1.4 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (3725, "1 h 2 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_spans_are_spelled_in_two_units_at_most(seconds: float, spelled: str) -> None:
    assert spell(seconds) == spelled


def test_every_kind_of_event_has_a_colour_of_a_state() -> None:
    assert set(TONES) == set(Status)
    assert set(TONES.values()) <= {state.value for state in State}


def test_attempts_tell_how_each_ended() -> None:
    broken, again = retry(5)
    events = life((2, started()), (4, broken), (4, again), (6, started()))
    first, second = attempt_rows(events)
    assert (first.ending, first.error, first.duration) == ("failed", "OSError: no disk", "2 s")
    assert (second.attempt, second.ending, second.ended_at) == (2, "running", None)


def test_the_first_lines_gap_is_empty_and_later_ones_tell_the_pause() -> None:
    rows = history_rows(life((2, started()), (2.5, step(1, 2))))
    assert [row.gap for row in rows] == ["", "+2 s", "+500 ms"]
    assert rows[2].details is not None


def test_progress_of_a_row_is_the_step_of_its_newest_event() -> None:
    row = row_of(JobRow.of(life((0, started()), (1, step(3, 8)))[-1]))
    assert (row.step, row.of) == (3, 8)


def test_a_row_of_an_ended_job_tells_how_long_it_took_and_one_that_waits_what_for() -> None:
    ended = Change(kind=Status.COMPLETED, worker_id=WORKER, duration_ms=1500)
    assert row_of(JobRow.of(life((0, started()), (2, ended))[-1])).took == "1.5 s"
    row = row_of(
        JobRow.of(life((1, Change(kind=Status.DEFERRED, due_at=at(9), message="locked")))[-1])
    )
    assert (row.took, row.due, row.due_at) == ("", "next try", at(9))
    at_once = Change(kind=Status.DEFERRED, due_at=at(1), message="locked")
    assert row_of(JobRow.of(life((1, at_once))[-1])).due_at is None


@pytest.mark.parametrize(
    ("changes", "verbs"),
    [
        ((), ["cancel"]),
        (((0, started()),), ["cancel"]),
        (((0, started()), (1, Change(kind=Status.CANCEL_REQUESTED))), []),
        (((0, started()), (1, failed())), ["redrive", "dismiss", "erase"]),
        (((0, started()), (1, failed()), (2, Change(kind=Status.DISMISSED))), ["redrive", "erase"]),
        (((0, started()), (1, failed()), (2, Change(kind=Status.ERASED))), []),
        (((0, started()), (1, Change(kind=Status.COMPLETED, worker_id=WORKER))), ["erase"]),
        (((1, Change(kind=Status.CANCELLED)),), ["redrive", "erase"]),
    ],
)
def test_only_the_buttons_that_the_state_allows(changes: tuple, verbs: list[str]) -> None:  # type: ignore[type-arg]
    assert [action.action for action in buttons_for(life(*changes)[-1])] == verbs


def worker(**changes: object) -> WorkerStatus:
    known = {
        "worker_id": WORKER,
        "host": "h",
        "pid": 1,
        "version": "1",
        "started_at": at(0),
        "heartbeat_at": at(100),
        "slots": 10,
        "queues": ("default",),
        "types": ("a",),
    }
    return WorkerStatus(**(known | changes))  # type: ignore[arg-type]


def test_silent_workers_are_listed_as_long_as_the_directory_knows_them() -> None:
    silent, long_ago = worker(worker_id="s"), worker(worker_id="g", heartbeat_at=at(100 - 3_000))
    rows = worker_rows([silent, long_ago, worker(heartbeat_at=at(139))], at(140))
    moods = {row.worker_id: row.mood for row in rows}
    assert rows[0].worker_id == WORKER
    assert moods == {WORKER: "alive", "s": "silent", "g": "silent"}


def test_long_values_are_cut_and_the_cut_is_named() -> None:
    text = json_text("payload", "x" * (MAX_CHARACTERS + 5))
    assert (len(text.text), text.cut) == (MAX_CHARACTERS, 5)


def test_the_chart_stacks_what_went_wrong_on_what_went_well() -> None:
    start = at(0)
    minute = timedelta(minutes=1)
    chart = draw_endings([Bucket(start), Bucket(start + minute, completed=6, failed=2)], minute)
    bar = chart.bars[1]
    assert chart.top == 8
    assert (bar.good_height, bar.bad_height) == (BASE * 6 / 8, BASE * 2 / 8)
    assert bar.bad_y + bar.bad_height == bar.good_y
    assert chart.summary == "8 jobs ended, 2 of them badly"


def test_a_row_of_the_trail_that_cannot_be_read_is_a_line_of_its_own() -> None:
    line = event_row(Event.unreadable("a job", 3, "Data is not JSON"))
    assert (line.job_id, line.sequence, line.status) == ("a job", 3, "Unreadable")
    assert line.message == "Data is not JSON"
