"""Cancel: at once if no worker runs the job, else a request that the holder answers."""

from __future__ import annotations

import structlog

from jobfleet_contracts.control_ports import ControlChannel
from jobfleet_contracts.errors import ActionRefused, BackendError, UnknownJob
from jobfleet_contracts.event import NAMELESS, Event
from jobfleet_contracts.internal_job import GROUP_TYPE
from jobfleet_contracts.ports import AuditTrail, Clock
from jobfleet_contracts.reason import behind_name, check_reason
from jobfleet_contracts.state import State, Status
from jobfleet_protocol.actions.action_mark import ActionMark, data_of
from jobfleet_protocol.actions.answer_limit import answered
from jobfleet_protocol.actions.ending import Ending
from jobfleet_protocol.control.fleet_seal import FleetSeal
from jobfleet_protocol.trail.trail_writer import TrailWriter
from jobfleet_protocol.trail.transitions import Change, draft

CANCEL_REQUESTED = "cancel.requested"
CANCEL_LEFT_TO_RESCUER = "cancel.left_to_rescuer"
CANCEL_MESSAGE_LOST = "cancel.message_lost"

_log = structlog.get_logger()


class Canceller:
    """Ends jobs on request."""

    def __init__(
        self,
        *,
        trail: AuditTrail,
        control: ControlChannel,
        writer: TrailWriter,
        ending: Ending,
        clock: Clock,
        seal: FleetSeal,
    ) -> None:
        self._seal = seal
        self._trail = trail
        self._control = control
        self._writer = writer
        self._ending = ending
        self._clock = clock

    async def cancel(
        self, job_id: str, *, by: str | None, reason: str = "", mark: ActionMark | None = None
    ) -> State:
        """Cancel a job.

        Args:
            reason: written into the trail; up to 1,000 characters.
            mark: names an action on many jobs; with it the job is cancelled once.

        The members of a group are cancelled too, by a job of the fleet's own; it ends with them.

        Returns:
            ``cancelled``; ``running`` if its worker has been asked to stop; ``waiting`` of a
            group whose members are being cancelled.

        Raises:
            InvalidRequest: the reason is too long or holds control characters.
            UnknownJob: no trail.
            ActionRefused: the job has ended.
            FleetSealed: the fleet is sealed.
            BackendUnavailable: the trail did not answer in 8 s. The job may be cancelled, now or
                later; asking again adds nothing to a cancel that stands.
        """
        check_reason(reason)
        return await answered(
            self._cancel(job_id, by, reason, mark),
            name=f"cancel-{job_id}",
            unclear="the cancel may be written, now or later: ask again, it counts once",
        )

    async def _cancel(
        self, job_id: str, by: str | None, reason: str, mark: ActionMark | None
    ) -> State:
        await self._seal.check()
        while True:
            head = await self._trail.newest(job_id)
            if head is None:
                raise UnknownJob(f"no job {job_id}")
            if mark is not None and await mark.find(self._trail, head) is not None:
                return head.after.state
            if head.after.state.is_terminal:
                raise ActionRefused(f"job {job_id} is {head.after.state.value} already")
            is_asked = head.after.state is State.RUNNING or head.facts.job_type == GROUP_TYPE
            if is_asked and head.after.cancel_requested:
                await self._tell(head)
                return head.after.state
            event = self._event(head, by, reason, mark, is_asked=is_asked)
            if await self._writer.append([event]) is None:
                await self._seal.check()
                return await self._follow_up(event)

    def _event(
        self, head: Event, by: str | None, reason: str, mark: ActionMark | None, *, is_asked: bool
    ) -> Event:
        who = by or NAMELESS
        change = Change(
            kind=Status.CANCEL_REQUESTED if is_asked else Status.CANCELLED,
            message=f"{'cancel requested' if is_asked else 'cancelled'} by {who}"
            + behind_name(reason),
            data={"reason": reason} | data_of(by, reason, mark),
        )
        return draft(head, head.facts, change, occurred_at=self._clock.now())

    async def _follow_up(self, event: Event) -> State:
        _log.info(CANCEL_REQUESTED, job_id=event.job_id, state=event.after.state.value)
        if event.after.state.is_terminal:
            await self._conclude(event)
        else:
            await self._tell(event)
        return event.after.state

    async def _conclude(self, event: Event) -> None:
        """The end is written, whatever fails now; the rescuer finds the job by its open row."""
        try:
            await self._ending.conclude(event)
        except BackendError as error:
            _log.warning(CANCEL_LEFT_TO_RESCUER, job_id=event.job_id, error=str(error))

    async def _tell(self, head: Event) -> None:
        """Tell the job's worker that it is to stop; end a group that has a cancel request.

        A lost message costs little: the next renewal of the lease looks into the trail. A group
        that cannot be ended now is left to the rescuer.
        """
        try:
            if head.facts.job_type == GROUP_TYPE:
                await self._ending.end_group_if_due(head)
            else:
                await self._control.send_cancel(head.job_id)
        except BackendError as error:
            _log.warning(CANCEL_MESSAGE_LOST, job_id=head.job_id, error=str(error))
