"""Redrive a dead job as a new incarnation, or dismiss it from the dead-letter list."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

from jobfleet_contracts.errors import ActionRefused, BackendError, UnknownJob
from jobfleet_contracts.event import NAMELESS, Event
from jobfleet_contracts.internal_job import GROUP_TYPE
from jobfleet_contracts.ports import AuditTrail, Clock, JobIndex, PayloadStore
from jobfleet_contracts.reason import behind_name
from jobfleet_contracts.state import DEAD, State, Status
from jobfleet_protocol.actions.action_mark import ActionMark, data_of
from jobfleet_protocol.actions.answer_limit import answered
from jobfleet_protocol.actions.ending import Ending
from jobfleet_protocol.actions.publication import Publication
from jobfleet_protocol.actions.submission import (
    message_of,
    open_row,
    reopen_if_slow,
    request_of,
)
from jobfleet_protocol.control.fleet_seal import FleetSeal
from jobfleet_protocol.trail.erased_values import is_withdrawn
from jobfleet_protocol.trail.large_data import resolve
from jobfleet_protocol.trail.trail_writer import TrailWriter
from jobfleet_protocol.trail.transitions import REDRIVABLE, Change, draft

DISMISSAL_LEFT_TO_RESCUER = "dismissal.left_to_rescuer"

_log = structlog.get_logger()


class Redriver:
    """Acts on jobs that ended badly."""

    def __init__(
        self,
        *,
        trail: AuditTrail,
        index: JobIndex,
        payloads: PayloadStore,
        writer: TrailWriter,
        publication: Publication,
        ending: Ending,
        clock: Clock,
        seal: FleetSeal,
    ) -> None:
        self._seal = seal
        self._trail = trail
        self._index = index
        self._payloads = payloads
        self._writer = writer
        self._publication = publication
        self._ending = ending
        self._clock = clock

    async def redrive(
        self, job_id: str, *, by: str | None, reason: str = "", mark: ActionMark | None = None
    ) -> State:
        """Put a failed, timed-out or cancelled job back into its queue.

        Args:
            mark: names an action on many jobs; however often asked, the job is redriven once.

        Raises:
            UnknownJob: no trail.
            ActionRefused: the job is open or completed, or its history was removed.
            FleetSealed: the fleet is sealed.
            BackendUnavailable: the trail did not answer in 8 s. The job may be redriven, now or
                later: look at it before asking again, for if it has run and failed meanwhile,
                a second redrive runs it once more.
        """
        return await answered(
            self._unsealed(lambda: self._redrive(job_id, by, reason, mark)),
            name=f"redrive-{job_id}",
            unclear="the job may be redriven, now or later: look at its state before asking again",
        )

    async def dismiss(
        self, job_id: str, *, by: str | None, reason: str = "", mark: ActionMark | None = None
    ) -> State:
        """Take a failed or timed-out job off the dead-letter list; its trail stays.

        Raises:
            UnknownJob: no trail.
            ActionRefused: the job is not dead, or was dismissed before.
            FleetSealed: the fleet is sealed.
            BackendUnavailable: the trail did not answer in 8 s; ask again, it counts once.
        """
        return await answered(
            self._unsealed(lambda: self._dismiss(job_id, by, reason, mark)),
            name=f"dismiss-{job_id}",
            unclear="the job may be dismissed, now or later: ask again, it counts once",
        )

    async def _unsealed(self, change: Callable[[], Awaitable[State]]) -> State:
        """Change a job of a fleet that is not sealed, before it or when the event stands."""
        await self._seal.check()
        state = await change()
        await self._seal.check()
        return state

    async def _dismiss(
        self, job_id: str, by: str | None, reason: str, mark: ActionMark | None
    ) -> State:
        while True:
            head = await self._head(job_id)
            if mark is not None and (done := await mark.find(self._trail, head)) is not None:
                return done.after.state
            if head.after.state not in DEAD or head.after.dismissed:
                raise ActionRefused(f"job {job_id} is not in the dead-letter list")
            change = Change(
                kind=Status.DISMISSED,
                message=f"dismissed by {by or NAMELESS}{behind_name(reason)}",
                data=data_of(by, reason, mark),
            )
            event = draft(head, head.facts, change, occurred_at=self._clock.now())
            in_group = await self._is_member(job_id)
            if in_group:  # its group is told of it; after a crash the rescuer goes by this row
                await self._index.open(open_row(event.facts, event.after, event.occurred_at))
            if await self._writer.append([event]) is None:
                if in_group:
                    await self._tell_group(event)
                return event.after.state

    async def _is_member(self, job_id: str) -> bool:
        opening = await self._trail.read(job_id, 1)
        if opening is None:
            return False
        return request_of(await resolve(opening, self._payloads)).member is not None

    async def _tell_group(self, head: Event) -> None:
        """The dismissal stands, whatever fails now; the rescuer goes by the open row."""
        try:
            await self._ending.conclude(head)
        except BackendError as error:
            _log.warning(DISMISSAL_LEFT_TO_RESCUER, job_id=head.job_id, error=str(error))

    async def _redrive(
        self, job_id: str, by: str | None, reason: str, mark: ActionMark | None
    ) -> State:
        while True:
            head = await self._head(job_id)
            # After each refused append too: the event in the way may be this action's own.
            if mark is not None and (done := await mark.find(self._trail, head)) is not None:
                return done.after.state
            if head.facts.job_type == GROUP_TYPE:
                raise ActionRefused(f"job {job_id} is a group: redrive its members instead")
            if head.after.state not in REDRIVABLE:
                raise ActionRefused(
                    f"job {job_id} is {head.after.state.value}; "
                    "only failed, timed-out and cancelled jobs are redriven"
                )
            change = Change(
                kind=Status.REDRIVEN,
                message=f"redriven by {by or NAMELESS}{behind_name(reason)}",
                data=data_of(by, reason, mark),
            )
            # Before the row is sent: see `reopen_if_slow`.
            since = self._clock.boottime()
            event = draft(head, head.facts, change, occurred_at=self._clock.now())
            await self._index.open(open_row(event.facts, event.after, event.occurred_at))
            if await self._writer.append([event]) is None:
                await reopen_if_slow(self._index, self._clock, event, since=since)
                await self._publish(event)
                return event.after.state

    async def _publish(self, head: Event) -> None:
        opening = await self._trail.read(head.job_id, 1)
        if opening is None:
            return
        now = self._clock.now()
        message = await message_of(opening, head, self._payloads, now)
        await self._publication.try_to_send(message, head)

    async def _head(self, job_id: str) -> Event:
        head = await self._trail.newest(job_id)
        if head is None:
            raise UnknownJob(f"no job {job_id}")
        if is_withdrawn(head):
            raise ActionRefused(
                f"job {job_id}: {head.message}, and with it what to run; submit a new job"
            )
        return head
