"""The one sentence that says where a job stands."""

from dataclasses import replace

import pytest

from jobfleet_contracts.event import Event
from jobfleet_contracts.state import Status
from jobfleet_dashboard.views.job.job_sentence import JobSituation, job_sentence
from jobfleet_dashboard.views.job.job_view import reason_of
from jobfleet_dashboard.views.text_span import plain
from jobfleet_protocol.trail.transitions import Change
from tests.dashboard.views.story import WORKER, at, failed, life, retry, started


def sentence_of(newest: Event, **around: object) -> str:
    known = JobSituation(now=at(12), since=at(0))
    return plain(job_sentence(newest, replace(known, **around)))  # type: ignore[arg-type]


def test_a_running_job_tells_worker_span_step_and_lease() -> None:
    newest = life((0, started()))[-1]
    sentence = sentence_of(newest, step=4, of=10, lease_seconds_left=41.0)
    assert sentence == (
        "running on worker 000000aa since 12 s, step 4 of 10, "
        "lease good for 41 s as of its last heartbeat"
    )


def test_a_deferred_job_tells_which_job_holds_its_lock() -> None:
    deferred = Change(kind=Status.DEFERRED, due_at=at(20), message="lock is held")
    newest = life((1, deferred), lockKey="customer-42")[-1]
    sentence = sentence_of(newest, holder_id="x", holder_name="import", reason="lock is held")
    assert sentence == "waiting for lock customer-42, held by job import; next try in 8 s"


def test_a_deferred_job_without_a_known_holder_tells_the_reason() -> None:
    newest = life((1, Change(kind=Status.DEFERRED, due_at=at(20))))[-1]
    assert sentence_of(newest, reason="rate limit") == "deferred: rate limit; next try in 8 s"


def test_a_job_that_waits_for_no_time_is_not_overdue() -> None:
    newest = life((1, Change(kind=Status.DEFERRED, due_at=at(1))), lockKey="customer-42")[-1]
    sentence = sentence_of(newest, holder_id="x", holder_name="import")
    assert sentence == (
        "waiting for lock customer-42 since 12 s, held by job import; "
        "it starts when the lock is free"
    )
    sentence = sentence_of(newest, reason="all 2 slots of api are taken")
    assert sentence == (
        "deferred: all 2 slots of api are taken since 12 s; "
        "a worker tries it again every few seconds"
    )


def test_a_job_under_a_rate_tells_its_slot() -> None:
    data: dict[str, object] = {"reason": "rate", "rate": "call-api", "slot": "…", "slots": {}}
    newest = life((1, Change(kind=Status.DEFERRED, due_at=at(17), data=data)), lockKey="k")[-1]
    slot = f"{at(17):%H:%M:%S}"
    assert sentence_of(newest, holder_id="x") == f"waits for rate call-api, slot {slot} UTC, in 5 s"
    data["slot"] = None
    newest = life((1, Change(kind=Status.DEFERRED, due_at=at(1), data=data)))[-1]
    assert sentence_of(newest) == "waits for rate call-api, whose next seconds are taken"


def test_a_retrying_job_tells_which_retry_when_and_why() -> None:
    broken, again = retry(20)
    newest = life((0, started()), (1, broken), (1, again))[-1]
    assert sentence_of(newest, reason="no disk") == "retry 1 of 2 in 8 s, after: no disk"


def test_what_is_overdue_says_since_when_and_never_now() -> None:
    deferred = life((1, Change(kind=Status.DEFERRED, due_at=at(20))))[-1]
    waits = Change(kind=Status.WAITING, worker_id="w", due_at=at(20))
    waiting = life((0, started()), (1, waits))[-1]
    broken, again = retry(20)
    retrying = life((0, started()), (1, broken), (1, again))[-1]
    for newest in (deferred, waiting, retrying):
        assert "in 8 s" in sentence_of(newest)
        assert "now" in sentence_of(newest, now=at(21))
        late = sentence_of(newest, now=at(20 + 900))
        assert "due 15 min ago" in late
        assert "now" not in late


def test_a_queued_job_says_when_nobody_serves_its_queue() -> None:
    newest = life()[-1]
    assert sentence_of(newest, workers_alive=0).endswith("; no live worker serves this queue")
    assert sentence_of(newest, workers_alive=2) == "queued in default since 12 s"


def test_a_waiting_job_tells_whether_it_was_sent_and_its_time_out() -> None:
    waits = Change(kind=Status.WAITING, worker_id="w", due_at=at(72))
    newest = life((0, started()), (1, waits))[-1]
    assert sentence_of(newest) == (
        "waiting for a third party's callback since 12 s; the request is not sent yet, "
        "time-out in 1 min"
    )


def test_a_failed_job_tells_when_and_why() -> None:
    newest = life((0, started()), (1, failed()))[-1]
    assert sentence_of(newest, reason="no disk") == "failed 12 s ago: no disk"


def test_an_unanswered_cancel_request_is_told() -> None:
    newest = life((0, started()), (1, Change(kind=Status.CANCEL_REQUESTED)))[-1]
    assert sentence_of(newest).endswith("; a cancel was requested and is not answered yet")


def test_a_job_that_was_cancelled_while_it_ran_tells_who_asked_and_why() -> None:
    asked = Change(
        kind=Status.CANCEL_REQUESTED, message="cancel requested by ann, reason: wrong customer"
    )
    stopped = Change(kind=Status.CANCELLED, worker_id=WORKER, message="cancelled while it ran")
    events = life((0, started()), (1, asked), (2, stopped))
    assert reason_of(events[-1], events) == asked.message
    redriven = (*events, *life((3, started()), (4, stopped))[1:])
    other = [replace(e, after=replace(e.after, incarnation=2)) for e in redriven[len(events) :]]
    assert reason_of(other[-1], [*events, *other]) == "cancelled while it ran"


@pytest.mark.parametrize("name", ["<b>", "a & b"])
def test_names_stay_data_and_are_escaped_by_the_template_alone(name: str) -> None:
    newest = life((1, Change(kind=Status.DEFERRED, due_at=at(20))), lockKey="k")[-1]
    assert name in sentence_of(newest, holder_id="x", holder_name=name)
