"""Complete histories from the trail: of one job, or of all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from jobfleet_contracts.errors import UnknownJob
from jobfleet_contracts.event import Event
from jobfleet_contracts.ports import AuditTrail
from jobfleet_protocol.reading.readable_trail import ReadableTrail


def known_form(job_id: str) -> str:
    """Return the id in lower case.

    Raises:
        UnknownJob: it is not a UUID, so no job has it.
    """
    try:
        return str(UUID(job_id))
    except ValueError as error:
        raise UnknownJob(f"no job {job_id!r}: a job id is a UUID") from error


async def history_of(trail: AuditTrail, job_id: str) -> list[Event]:
    """Return all events of one job, oldest first, with stand-ins for rows that cannot be read.

    Raises:
        UnknownJob: no trail exists for this id.
    """
    wanted = known_form(job_id)
    events = await ReadableTrail(trail).complete(wanted)
    if not events:
        raise UnknownJob(f"no job {wanted}")
    return events


async def histories(trail: AuditTrail, job_id: str | None) -> AsyncIterator[Sequence[Event]]:
    """Yield complete histories: of the one job, or of each in turn."""
    if job_id is not None:
        yield await history_of(trail, job_id)
        return
    async for history in trail.scan():
        yield history
