"""Old histories go, a few at a time; nothing brings their jobs back."""

from dataclasses import replace

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import ActionRefused, BodyConflict
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import JobQuery
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.ports import Clock
from jobfleet_contracts.state import State
from jobfleet_protocol.audit.verification import verify_trail
from jobfleet_protocol.trail.tombstone import is_seal, is_tombstone
from jobfleet_worker import handler
from jobfleet_worker.upkeep.retention import (
    IDLE_SECONDS,
    SEALED_AT_LEAST,
    SEALED_AT_MOST,
    Retention,
)
from tests.polling import eventually
from tests.protocol.steered_clock import SteeredClock
from tests.worker.workshop import DEFAULTS, Workshop

DAYS = 30.0
DAY = 86_400.0
AT_END = DAYS * DAY + 60


@handler("large")
async def large(payload: object) -> str:
    return "x" * 50_000


@handler("broken")
async def broken(payload: object) -> None:
    raise ValueError("as always")


def retention_of(backend: Backend, clock: Clock, *, days: float) -> Retention:
    assert backend.retention is not None
    return Retention(
        trail=backend.trail,
        payloads=backend.payloads,
        logs=backend.logs,
        marks=backend.marks,
        store=backend.retention,
        clock=clock,
        days=days,
    )


def retention(workshop: Workshop) -> Retention:
    return retention_of(workshop.real, workshop.clock, days=DAYS)


async def removed(workshop: Workshop, clock: SteeredClock) -> int:
    """Seal what is old, and remove it an hour later."""
    sweeper = retention(workshop)
    assert await sweeper.sweep() == 0
    clock.advance(SEALED_AT_MOST)
    return await sweeper.sweep()


async def ended(workshop: Workshop, job_type: str = "large") -> Event:
    """A job that ended long enough ago."""
    worker = workshop.start_worker(large, broken)
    head = await workshop.run(job_type, max_attempts=1)
    await worker.stop()
    return head


async def test_an_old_history_goes_with_its_blobs_and_its_place_in_every_list(
    workshop: Workshop, clock: SteeredClock
) -> None:
    head = await ended(workshop)
    stored = await workshop.head(head.job_id)
    clock.advance(AT_END)
    assert await removed(workshop, clock) == 1
    (stone,) = await workshop.history(head.job_id)
    assert is_tombstone(stone)
    assert stone.message == "history removed after 30 days"
    assert await workshop.real.payloads.get(stored.data["blob"]) is None
    assert (await workshop.real.reader.jobs(JobQuery())).items == []


async def test_what_ended_later_or_has_not_ended_stays(
    workshop: Workshop, clock: SteeredClock
) -> None:
    waiting = await workshop.submit("large")
    clock.advance(AT_END)
    head = await ended(workshop)
    clock.advance((DAYS - 1) * DAY)
    assert await removed(workshop, clock) == 0
    assert len(await workshop.history(head.job_id)) == head.sequence
    assert len(await workshop.history(waiting)) > 1


async def test_a_late_message_of_a_removed_job_starts_nothing(
    workshop: Workshop, clock: SteeredClock
) -> None:
    head = await ended(workshop)
    clock.advance(AT_END)
    await removed(workshop, clock)
    request = JobRequest(type="large", job_id=head.job_id)
    late = JobMessage(request=request, defaults=DEFAULTS, sequence=1, published_at=head.occurred_at)
    for message in (late, replace(late, sequence=None, published_at=None)):
        await workshop.queue.publish(message)
    workshop.start_worker(large)

    async def taken() -> bool:
        return not any(depth.ready for depth in await workshop.real.queue.depths())

    await eventually("both messages are gone", taken)
    await workshop.run("large")
    assert len(await workshop.history(head.job_id)) == 1


async def test_the_same_submit_after_removal_finds_the_job_ended_and_another_body_is_refused(
    workshop: Workshop, clock: SteeredClock
) -> None:
    worker = workshop.start_worker(large)
    request = JobRequest(type="large", payload={"a": 1})
    job_id = (await workshop.submitter.submit(request, idempotency_key="k")).job_id
    await workshop.until_ended(job_id)
    await worker.stop()
    clock.advance(AT_END)
    await removed(workshop, clock)
    again = await workshop.submitter.submit(request, idempotency_key="k")
    assert (again.job_id, again.state, again.created) == (job_id, State.COMPLETED, False)
    with pytest.raises(BodyConflict):
        await workshop.submitter.submit(JobRequest(type="other"), idempotency_key="k")
    assert len(await workshop.history(job_id)) == 1


async def test_a_removed_job_is_neither_redriven_nor_dismissed(
    workshop: Workshop, clock: SteeredClock
) -> None:
    head = await ended(workshop, "broken")
    assert head.after.state is State.FAILED
    clock.advance(AT_END)
    await removed(workshop, clock)
    for act in (workshop.redriver.redrive, workshop.redriver.dismiss):
        with pytest.raises(ActionRefused, match="history removed after 30 days"):
            await act(head.job_id, by="somebody")
    assert len(await workshop.history(head.job_id)) == 1


async def test_a_removal_that_was_cut_short_is_finished_by_a_later_sweep(
    workshop: Workshop, clock: SteeredClock
) -> None:
    head = await ended(workshop)
    blob = (await workshop.head(head.job_id)).data["blob"]
    await workshop.real.logs.append(head.job_id, 1, 0, b"a line\n")
    clock.advance(AT_END)
    torn = replace(workshop.real, payloads=Unwilling())  # type: ignore[arg-type]
    sweeper = retention_of(torn, clock, days=DAYS)
    await sweeper.sweep()
    clock.advance(SEALED_AT_MOST)
    with pytest.raises(ConnectionError):
        await sweeper.sweep()
    assert is_tombstone(await workshop.head(head.job_id))
    await retention(workshop).sweep()
    assert await workshop.real.payloads.get(blob) is None
    assert await workshop.real.logs.sizes(head.job_id) == []
    assert (await workshop.real.reader.jobs(JobQuery())).items == []


async def test_the_rescuers_worker_removes_them_while_it_works(
    workshop: Workshop, clock: SteeredClock
) -> None:
    head = await ended(workshop)
    clock.advance(AT_END)
    workshop.start_worker(large, retention_days=SEALED_AT_LEAST / DAY)

    async def sealed() -> bool:
        return is_seal(await workshop.head(head.job_id))

    async def gone() -> bool:
        return is_tombstone(await workshop.head(head.job_id)) and not await sealed()

    await eventually("the history is sealed", sealed)
    clock.advance(SEALED_AT_LEAST)
    await eventually("the history is removed", gone)


async def test_without_anything_old_it_rests_for_a_minute(
    workshop: Workshop, clock: SteeredClock
) -> None:
    head = await ended(workshop)
    sweeper = retention_of(workshop.real, clock, days=20 / DAY)
    assert await sweeper.sweep() == 0
    clock.advance(30)
    assert await sweeper.sweep() == 0
    clock.advance(IDLE_SECONDS)
    assert await sweeper.sweep() == 0
    assert is_seal(await workshop.head(head.job_id))
    clock.advance(SEALED_AT_LEAST)
    assert await sweeper.sweep() == 1
    assert is_tombstone(await workshop.head(head.job_id))


async def test_a_sealed_job_is_not_redriven_and_a_redriven_one_is_not_removed(
    workshop: Workshop, clock: SteeredClock
) -> None:
    sealed, redriven = await ended(workshop, "broken"), await ended(workshop, "broken")
    clock.advance(AT_END)
    await workshop.redriver.redrive(redriven.job_id, by="somebody")
    sweeper = retention(workshop)
    await sweeper.sweep()
    with pytest.raises(ActionRefused, match="history removed"):
        await workshop.redriver.redrive(sealed.job_id, by="somebody")
    assert not (await verify_trail(workshop.real.trail)).violations.kept
    clock.advance(SEALED_AT_MOST - 60)
    assert await sweeper.sweep() == 0
    clock.advance(60)
    assert await sweeper.sweep() == 1
    assert (await workshop.statuses(redriven.job_id))[-1] == "Redriven"


async def test_a_seal_whose_worker_died_is_honoured_by_the_next_after_an_hour(
    workshop: Workshop, clock: SteeredClock
) -> None:
    head = await ended(workshop)
    clock.advance(AT_END)
    await retention(workshop).sweep()
    successor = retention(workshop)
    await successor.sweep()
    assert is_seal(await workshop.head(head.job_id))
    clock.advance(SEALED_AT_MOST)
    assert await successor.sweep() == 1
    assert len(await workshop.history(head.job_id)) == 1


class Unwilling:
    """A payload store out of order."""

    async def delete_job(self, job_id: str) -> None:
        raise ConnectionError
