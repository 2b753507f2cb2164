"""What people ask of queues and types: pause, resume, run one job all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial

import structlog

from jobfleet_contracts.control import ControlEntry, ControlSubject, check_control_name
from jobfleet_contracts.control_ports import ControlChannel, ControlLog
from jobfleet_contracts.errors import ActionRefused, BackendError, InvalidRequest, UnknownJob
from jobfleet_contracts.event import Event
from jobfleet_contracts.job import QUEUE_PATTERN
from jobfleet_contracts.ports import AuditTrail, Clock
from jobfleet_contracts.state import CLAIMABLE
from jobfleet_protocol.control import pause_state
from jobfleet_protocol.control.control_writer import ControlWriter, Decision, OnAppended
from jobfleet_protocol.control.pause_state import FleetPauses, Pause

ANNOUNCEMENT_LOST = "pause.announcement_lost"

_log = structlog.get_logger()


class Pauses:
    """The pauses of the fleet. Each call that changes one tells all workers; the log decides."""

    def __init__(
        self,
        *,
        log: ControlLog,
        control: ControlChannel,
        clock: Clock,
        on_appended: OnAppended | None = None,
    ) -> None:
        self._control_log = log
        self._control = control
        self._clock = clock
        self._writer = ControlWriter(log=log, clock=clock, on_appended=on_appended)

    async def read(self) -> FleetPauses:
        """Return the pauses in force now.

        Raises:
            BackendError: the log did not answer.
        """
        queues, types = await asyncio.gather(*map(self._control_log.heads, pause_state.PAUSABLE))
        return FleetPauses(queues=_in_force(queues), types=_in_force(types))

    async def of_job(self, head: Event) -> Pause | None:
        """Return the pause that keeps this job from starting, by two or three reads of the log."""
        newest, names = self._control_log.newest, _types_of(head)
        queue, *types = await asyncio.gather(
            newest(ControlSubject.QUEUE, head.facts.queue),
            *(newest(ControlSubject.TYPE, name) for name in names),
        )
        found = FleetPauses(
            queues=_in_force([queue]),
            types=_in_force(types),
            aliases={head.facts.job_type: names[-1]},
        )
        return found.holding_job(head)

    async def history(
        self, subject: ControlSubject, name: str, *, before: int | None = None, limit: int = 100
    ) -> Sequence[ControlEntry]:
        """Return entries of one queue or type, newest first."""
        return await self._control_log.history(subject, name, before=before, limit=limit)

    async def pause(
        self,
        subject: ControlSubject,
        name: str,
        *,
        by: str,
        reason: str = "",
        until: datetime | None = None,
    ) -> bool:
        """Let no job of the queue or type start; jobs that run go on.

        Pausing what is paused changes ``until`` and the reason; returns whether anything changed.

        Raises:
            InvalidRequest: no queue or type can have this name, or ``until`` has passed.
        """
        check_pausable(subject, name)
        decide = partial(
            pause_state.pause,
            subject=subject,
            name=name,
            by=by,
            reason=reason,
            until=until,
            now=self._clock.now(),
        )
        return await self._change(subject, name, decide)

    async def resume(
        self, subject: ControlSubject, name: str, *, by: str, reason: str = ""
    ) -> bool:
        """End the pause; return whether there was one.

        Nothing else has to be done: workers and rescuer go by the entry.

        Raises:
            InvalidRequest: no queue or type can have this name.
        """
        check_pausable(subject, name)
        return await self._change(subject, name, partial(pause_state.resume, by=by, reason=reason))

    async def run_anyway(self, head: Event, *, by: str, reason: str = "") -> None:
        """Let one job start once though its queue or type is paused. Do nothing if neither is.

        Args:
            head: the job's newest event. The permission ends with its next ``Started``.
        """
        types = [(ControlSubject.TYPE, name) for name in _types_of(head)]
        for subject, name in ((ControlSubject.QUEUE, head.facts.queue), *types):
            decide = partial(pause_state.exempt, head=head, by=by, reason=reason)
            await self._change(subject, name, decide)

    async def run_job_anyway(
        self, job_id: str, *, trail: AuditTrail, by: str, reason: str = ""
    ) -> None:
        """Like :meth:`run_anyway`, of the job with this id.

        Raises:
            UnknownJob: no trail.
            ActionRefused: no pause keeps the job from starting.
        """
        head = await trail.newest(job_id)
        if head is None:
            raise UnknownJob(f"no job {job_id}")
        if head.after.state not in CLAIMABLE:
            raise ActionRefused(f"job {job_id} is {head.after.state.value}: no pause holds it")
        if await self.of_job(head) is None:
            raise ActionRefused(f"neither queue nor type of job {job_id} is paused")
        await self.run_anyway(head, by=by, reason=reason)

    async def resume_those_over(self, known: FleetPauses) -> None:
        """Append ``Resumed`` for every pause whose time has come.

        Args:
            known: pauses as they were read before; the newest entries decide.
        """
        now = self._clock.now()
        for pause in (*known.queues.values(), *known.types.values()):
            if pause.is_over(now):
                decide = partial(pause_state.resume_in_time, now=now)
                await self._change(pause.subject, pause.name, decide)

    async def _change(self, subject: ControlSubject, name: str, decide: Decision) -> bool:
        entry = await self._writer.append(subject, name, decide)
        # Also if nothing was appended: who repeats a command may do so since its
        # announcement was lost.
        try:
            await self._control.announce_change(subject, name)
        except BackendError as error:
            _log.warning(ANNOUNCEMENT_LOST, subject=subject, name=name, error=str(error))
        return entry is not None


def check_pausable(subject: ControlSubject, name: str) -> None:
    """Check that a queue or type can have this name.

    Raises:
        InvalidRequest: says what is allowed.
    """
    check_control_name(name, what=subject)
    if subject is ControlSubject.QUEUE and not QUEUE_PATTERN.fullmatch(name):
        message = f"queue: {name!r} is not allowed; use 1 to 50 of a-z, 0-9, '_', '-'"
        raise InvalidRequest(message, field="queue")


def _types_of(head: Event) -> list[str]:
    """Return the job's type, and the name that it has now where its ``Deferred`` tells that.

    Who pauses a type need not know its earlier names; the worker that put the job off does.
    """
    data = head.data if head.data.get("subject") == ControlSubject.TYPE else {}
    name = str(data.get("name", head.facts.job_type))
    return [head.facts.job_type] if name == head.facts.job_type else [head.facts.job_type, name]


def _in_force(heads: Iterable[ControlEntry | None]) -> dict[str, Pause]:
    pauses = (Pause.of(head) for head in heads)
    return {pause.name: pause for pause in pauses if pause is not None}
