"""What a submitter's own transaction writes, and what its answer says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from jobfleet_contracts.errors import BodyConflict, InvalidRequest
from jobfleet_contracts.internal_job import internal_job_id
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.job_id import job_id_for_key
from jobfleet_contracts.state import State
from jobfleet_contracts.transaction import Opened
from jobfleet_protocol.actions.publication import LONGEST_DELAY
from jobfleet_protocol.actions.transactional_submission import TransactionalSubmission
from tests.protocol.bench import DEFAULTS, Bench


@pytest.fixture
def submission(bench: Bench) -> TransactionalSubmission:
    return TransactionalSubmission(
        clock=bench.clock,
        defaults=DEFAULTS,
        limits=bench.backend.limits,
        seal=bench.writes.seal,
    )


async def test_a_key_makes_the_id_and_an_id_of_our_own_jobs_is_refused(
    submission: TransactionalSubmission,
) -> None:
    request = JobRequest(type="a")
    assert submission.identified(request, None) is request
    assert submission.identified(request, "invoice/1").job_id == job_id_for_key("invoice/1")
    ours = JobRequest(type="a", job_id=internal_job_id("callback", "x"))
    with pytest.raises(InvalidRequest) as refused:
        submission.identified(ours, None)
    assert refused.value.field == "jobId"


async def test_a_job_that_is_due_later_has_its_message_delayed_or_left_to_the_rescuer(
    submission: TransactionalSubmission, bench: Bench
) -> None:
    now = submission.opening(JobRequest(type="a"), by=None, notify=True)
    assert (now.delay_seconds, now.row.published) == (0, 1)
    soon = bench.clock.now() + LONGEST_DELAY / 2
    later = submission.opening(JobRequest(type="a", run_at=soon), by=None, notify=True)
    assert later.message is not None
    assert later.delay_seconds == pytest.approx(LONGEST_DELAY.total_seconds() / 2, abs=5)
    late = bench.clock.now() + LONGEST_DELAY + timedelta(days=1)
    latest = submission.opening(JobRequest(type="a", run_at=late), by=None, notify=True)
    assert (latest.message, latest.row.published) == (None, 0)


async def test_the_answer_says_whether_the_job_existed_and_refuses_another_body(
    submission: TransactionalSubmission,
) -> None:
    request = JobRequest(type="a")
    opening = submission.opening(request, by=None, notify=True)
    made = submission.answer(request, opening, Opened("7"))
    assert (made.created, made.state, made.transaction) == (True, State.QUEUED, "7")
    head = replace(opening.event, after=replace(opening.event.after, state=State.RUNNING))
    known = submission.answer(request, opening, Opened("7", opening.event, head))
    assert (known.created, known.state) == (False, State.RUNNING)
    other = request.model_copy(update={"payload": 1})
    with pytest.raises(BodyConflict):
        submission.answer(other, opening, Opened("7", opening.event, head))
