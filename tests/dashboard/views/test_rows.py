"""Attempts, events, groups and the other small models."""

from datetime import timedelta

import pytest

from jobfleet_contracts.event import Event
from jobfleet_contracts.index import OpenRow
from jobfleet_contracts.state import State, Status
from jobfleet_contracts.worker_status import WorkerStatus
from jobfleet_dashboard.views.durations import spell
from jobfleet_dashboard.views.event_row import event_row, history_rows
from jobfleet_dashboard.views.job.attempt_row import attempt_rows
from jobfleet_dashboard.views.job.job_actions import buttons_for
from jobfleet_dashboard.views.jobs.job_row import row_of_event
from jobfleet_dashboard.views.json_text import MAX_CHARACTERS, json_text
from jobfleet_dashboard.views.overview.fleet_sentence import fleet_sentence
from jobfleet_dashboard.views.overview.throughput_chart import BASE, Bucket, draw_throughput
from jobfleet_dashboard.views.text_span import plain
from jobfleet_dashboard.views.workers.worker_row import worker_rows
from jobfleet_protocol.trail.transitions import Change
from tests.dashboard.views.story import WORKER, at, failed, life, retry, started, step


@pytest.mark.parametrize(
    ("seconds", "said"),
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
def test_spans_are_spelled_in_two_units_at_most(seconds: float, said: str) -> None:
    assert spell(seconds) == said


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
    row = row_of_event(life((0, started()), (1, step(3, 8)))[-1])
    assert (row.step, row.of) == (3, 8)


def test_a_row_of_an_ended_job_tells_how_long_it_took_and_one_that_waits_what_for() -> None:
    ended = Change(kind=Status.COMPLETED, worker_id=WORKER, duration_ms=1500)
    assert row_of_event(life((0, started()), (2, ended))[-1]).took == "1.5 s"
    row = row_of_event(life((1, Change(kind=Status.DEFERRED, due_at=at(9), message="locked")))[-1])
    assert (row.took, row.due, row.due_at) == ("", "next try", at(9))


@pytest.mark.parametrize(
    ("changes", "verbs"),
    [
        ((), ["cancel"]),
        (((0, started()),), ["cancel"]),
        (((0, started()), (1, Change(kind=Status.CANCEL_REQUESTED))), []),
        (((0, started()), (1, failed())), ["redrive", "dismiss"]),
        (((0, started()), (1, failed()), (2, Change(kind=Status.DISMISSED))), ["redrive"]),
        (((0, started()), (1, Change(kind=Status.COMPLETED, worker_id=WORKER))), []),
        (((1, Change(kind=Status.CANCELLED)),), ["redrive"]),
    ],
)
def test_only_the_buttons_that_the_state_allows(changes: tuple, verbs: list[str]) -> None:  # type: ignore[type-arg]
    assert [action.action for action in buttons_for(life(*changes)[-1].after)] == verbs


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


def test_silent_workers_fade_and_then_go() -> None:
    silent, gone = worker(worker_id="s"), worker(worker_id="g", heartbeat_at=at(100 - 700))
    rows = worker_rows([silent, gone, worker(heartbeat_at=at(139))], at(140))
    assert [(row.worker_id, row.mood) for row in rows] == [(WORKER, "alive"), ("s", "silent")]


def test_a_fleet_without_workers_is_bad_news_only_where_jobs_wait() -> None:
    idle = fleet_sentence(counts={}, workers=[], longest_queued={}, now=at(0))
    bad = fleet_sentence(counts={State.QUEUED: 5}, workers=[], longest_queued={}, now=at(0))
    assert (idle.tone, bad.tone) == ("idle", "bad")
    assert plain(bad.words) == (
        "Nobody works: no worker is alive and 5 jobs are not done. Start one with jobfleet worker."
    )


def test_a_living_fleet_is_well() -> None:
    said = fleet_sentence(
        counts={State.RUNNING: 1}, workers=[worker()], longest_queued={}, now=at(101)
    )
    assert said.tone == "good"
    assert plain(said.words).startswith("The fleet is well: 1 worker is alive")


def waiting_in(queue: str, since: int) -> OpenRow:
    facts = life((0, started()), queue=queue)[-1].facts
    return OpenRow(facts, 1, State.QUEUED, 1, opened_at=at(since), updated_at=at(since))


def test_a_queue_without_workers_is_named_before_one_whose_workers_are_busy() -> None:
    said = fleet_sentence(
        counts={State.QUEUED: 2},
        workers=[worker(slots=0)],
        longest_queued={"default": waiting_in("default", 0), "mail": waiting_in("mail", 30)},
        now=at(101),
    )
    assert said.tone == "warning"
    assert plain(said.words).startswith("The oldest job queued in mail, ")
    assert plain(said.words).endswith(" has waited 1 min 11 s; no live worker serves its queue.")


def test_slots_of_other_queues_do_not_count_as_free() -> None:
    said = fleet_sentence(
        counts={State.QUEUED: 1},
        workers=[worker(slots=0), worker(worker_id="other", queues=("mail",))],
        longest_queued={"default": waiting_in("default", 0)},
        now=at(101),
    )
    assert plain(said.words).endswith("; all slots are busy (0 of 0).")


def test_long_values_are_cut_and_the_cut_is_named() -> None:
    text = json_text("payload", "x" * (MAX_CHARACTERS + 5))
    assert (len(text.text), text.cut) == (MAX_CHARACTERS, 5)


def test_the_chart_stacks_what_went_wrong_on_what_went_well() -> None:
    start = at(0)
    minute = timedelta(minutes=1)
    chart = draw_throughput([Bucket(start), Bucket(start + minute, completed=6, failed=2)])
    bar = chart.bars[1]
    assert chart.top == 8
    assert (bar.good_height, bar.bad_height) == (BASE * 6 / 8, BASE * 2 / 8)
    assert bar.bad_y + bar.bad_height == bar.good_y
    assert chart.summary == "8 jobs ended, 2 of them badly"


def test_a_row_of_the_trail_that_cannot_be_read_is_a_line_of_its_own() -> None:
    line = event_row(Event.unreadable("a job", 3, "Data is no JSON"))
    assert (line.job_id, line.sequence, line.status) == ("a job", 3, "Unreadable")
    assert line.message == "Data is no JSON"
