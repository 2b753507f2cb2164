"""Complete histories from the trail: of one job, or of all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from jobfleet_contracts.errors import UnknownJob
from jobfleet_contracts.event import Event
from jobfleet_contracts.ports import AuditTrail

PAGE = 1000


def known_form(job_id: str) -> str:
    """Return the id in lower case.

    Raises:
        UnknownJob: it is no UUID, so no job has it.
    """
    try:
        return str(UUID(job_id))
    except ValueError as error:
        raise UnknownJob(f"no job {job_id!r}: a job id is a UUID") from error


async def history_of(trail: AuditTrail, job_id: str) -> list[Event]:
    """Return all events of one job, oldest first.

    Raises:
        UnknownJob: no trail exists for this id.
    """
    events: list[Event] = []
    wanted = known_form(job_id)
    while page := await _page(trail, wanted, events[-1].sequence if events else 0):
        events += page
    if not events:
        raise UnknownJob(f"no job {wanted}")
    return events


async def _page(trail: AuditTrail, job_id: str, after: int) -> Sequence[Event]:
    """Read on; row by row where one of them cannot be read, with a stand-in for that one."""
    try:
        return await trail.history(job_id, after=after, limit=PAGE)
    except ValueError:
        numbers = range(after + 1, after + PAGE + 1)
        rows = [await _row_or_stand_in(trail, job_id, number) for number in numbers]
        return [row for row in rows if row is not None]


async def _row_or_stand_in(trail: AuditTrail, job_id: str, sequence: int) -> Event | None:
    try:
        return await trail.read(job_id, sequence)
    except ValueError as error:
        return Event.unreadable(job_id, sequence, f"{type(error).__name__}: {error}")


async def histories(trail: AuditTrail, job_id: str | None) -> AsyncIterator[Sequence[Event]]:
    """Yield complete histories: of the one job, or of each in turn."""
    if job_id is not None:
        yield await history_of(trail, job_id)
        return
    async for history in trail.scan():
        yield history
