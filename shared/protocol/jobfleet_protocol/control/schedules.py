"""What people and code ask of schedules: declare, change, pause, resume, run, backfill, remove."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import islice, takewhile

import structlog

from jobfleet_contracts.control import (
    ControlEntry,
    ControlKind,
    ControlSubject,
    check_control_name,
)
from jobfleet_contracts.control_ports import ControlLog
from jobfleet_contracts.errors import (
    BodyConflict,
    InvalidRequest,
    UnknownSchedule,
    WrittenByNewer,
)
from jobfleet_contracts.field_checks import checked_time
from jobfleet_contracts.ports import AuditTrail, Clock
from jobfleet_contracts.schedule import Schedule
from jobfleet_contracts.state import State
from jobfleet_protocol.actions.submission import Submitted, Submitter
from jobfleet_protocol.control import schedule_state
from jobfleet_protocol.control.control_writer import (
    ControlDraft,
    ControlWriter,
    Decision,
    OnAppended,
)
from jobfleet_protocol.control.most_names import MOST_NAMES, check_most, check_room, standing
from jobfleet_protocol.control.schedule_state import ScheduleState, job_of

MOST_BACKFILLED = 1000
DECLARATION_FAILED = "schedule.declaration_failed"
JOB_OF_TICK_DIFFERS = "schedule.job_differs"

_log = structlog.get_logger()


class Schedules:
    """The schedules of the fleet.

    Every append first submits the job of the entry that it follows. So at most the newest entry
    of a log can lack its job, and a process that dies between an entry and its job loses nothing.

    Args:
        most: how many names may stand; ``None``: any number.
    """

    def __init__(
        self,
        *,
        log: ControlLog,
        trail: AuditTrail,
        submitter: Submitter,
        clock: Clock,
        on_appended: OnAppended | None = None,
        most: int | None = MOST_NAMES,
    ) -> None:
        self._most = most
        self._control_log = log
        self._trail = trail
        self._submitter = submitter
        self._clock = clock
        self._writer = ControlWriter(
            log=log, clock=clock, settle=self.settle, on_appended=on_appended
        )
        self._settled: dict[str, int] = {}

    async def all(self) -> Sequence[ControlEntry]:
        """Return the newest entry of every schedule that has not been removed, by name."""
        heads = await self._control_log.heads(ControlSubject.SCHEDULE)
        return [head for head in heads if not head.state.get("removed")]

    async def find(self, name: str) -> ControlEntry | None:
        """Return the newest entry of one schedule, ``None`` if it is unknown or removed.

        Raises:
            InvalidRequest: no schedule can have this name.
        """
        check_control_name(name, what="name")
        head = await self._control_log.newest(ControlSubject.SCHEDULE, name)
        return None if head is None or head.state.get("removed") else head

    async def history(
        self, name: str, *, before: int | None = None, limit: int = 100
    ) -> Sequence[ControlEntry]:
        """Return entries of one schedule, newest first.

        Raises:
            InvalidRequest: no schedule can have this name.
        """
        check_control_name(name, what="name")
        return await self._control_log.history(
            ControlSubject.SCHEDULE, name, before=before, limit=limit
        )

    async def declare(self, schedule: Schedule, *, by: str, reason: str = "") -> None:
        """Declare a schedule, or change it; the same declaration again changes nothing.

        Raises:
            InvalidRequest: the name cannot be a key, or there are as many other schedules as may
                be.
        """
        check_control_name(schedule.name, what="name")
        await check_room(self._control_log, ControlSubject.SCHEDULE, schedule.name, self._most)
        now = self._clock.now()
        await self._append(
            schedule.name,
            partial(schedule_state.declare, schedule=schedule, by=by, reason=reason, now=now),
        )

    async def declare_by_code(
        self, schedule: Schedule, *, live_digests: frozenset[str] = frozenset()
    ) -> bool:
        """Declare a module's schedule unless code declared it before; return whether it did."""
        entry = await self._append(
            schedule.name,
            partial(
                schedule_state.declare_by_code,
                schedule=schedule,
                now=self._clock.now(),
                live_digests=live_digests,
            ),
        )
        return entry is not None

    async def declare_all_by_code(
        self, declared: Sequence[Schedule], *, live: Mapping[str, frozenset[str]]
    ) -> None:
        """Declare what handler modules say and the log lacks; look at all with one question.

        One that cannot be declared is logged, and stops no other.

        Args:
            live: digests that live workers declare, by name.

        Raises:
            BackendError: the log did not answer.
        """
        found = await self._control_log.heads(ControlSubject.SCHEDULE)
        heads, names = {head.name: head for head in found}, standing(found)
        for schedule in declared:
            head, digests = heads.get(schedule.name), live.get(schedule.name, frozenset())
            try:
                draft = schedule_state.declare_by_code(
                    head, schedule, now=self._clock.now(), live_digests=digests
                )
                if draft is not None:
                    check_most(names, ControlSubject.SCHEDULE, schedule.name, self._most)
                    await self.declare_by_code(schedule, live_digests=digests)
                    names.add(schedule.name)
            except (InvalidRequest, LookupError, TypeError, ValueError) as error:
                _log.error(DECLARATION_FAILED, schedule=schedule.name, error=str(error))

    async def pause(self, name: str, *, by: str, reason: str = "") -> bool:
        """Stop its ticks; return whether it ticked.

        Raises:
            UnknownSchedule: there is no such schedule.
        """
        decide = partial(schedule_state.pause, by=by, reason=reason, now=self._clock.now())
        return await self._append(name, decide) is not None

    async def resume(self, name: str, *, by: str, reason: str = "") -> bool:
        """Let it tick again; return whether it was paused.

        What was missed meanwhile follows its ``catch_up``.
        """
        decide = partial(schedule_state.resume, by=by, reason=reason)
        return await self._append(name, decide) is not None

    async def remove(self, name: str, *, by: str, reason: str = "") -> bool:
        """End it; return whether it was there. Its log stays."""
        decide = partial(schedule_state.remove, by=by, reason=reason)
        return await self._append(name, decide) is not None

    async def run(self, name: str, *, by: str, reason: str = "") -> Submitted:
        """Make its job once, now, beside the ticks."""
        decide = partial(schedule_state.run_now, by=by, reason=reason)
        entry = await self._append(name, decide)
        assert entry is not None
        return await self._submit(entry)

    async def backfill(
        self, name: str, *, since: datetime, until: datetime, by: str, reason: str = ""
    ) -> list[Submitted]:
        """Make the jobs of the ticks from ``since`` up to, not including, ``until``.

        Each tick's job has an id of its own, so a repeated backfill finds the same jobs.

        Raises:
            InvalidRequest: the range is empty, holds more than 1,000 ticks, or lies in a year that
                no job can.
            UnknownSchedule: there is no such schedule.
        """
        check_control_name(name, what="name")
        head = await self._control_log.newest(ControlSubject.SCHEDULE, name)
        if head is None:
            raise UnknownSchedule(f"there is no schedule {name}")
        ticks = _ticks_between(ScheduleState.of(head), since, until)
        jobs = []
        for tick in ticks:
            decide = partial(schedule_state.backfill, tick=tick, by=by, reason=reason)
            entry = await self._append(name, decide)
            assert entry is not None
            jobs.append(await self._submit(entry))
        return jobs

    async def settle(self, newest: ControlEntry | None) -> None:
        """Submit the job of an entry, if it stands for one and lacks it.

        Raises:
            BackendError: it is not known whether the job stands.
        """
        if newest is None or self._settled.get(newest.name) == newest.sequence:
            return
        if "jobId" in newest.details:
            await self._submit(newest)

    async def fire_due(self, head: ControlEntry, now: datetime) -> ControlEntry:
        """Fire the ticks of one schedule whose time has come, or log why they are skipped.

        Returns the newest entry that is known afterwards.

        Another process may do the same: what the log says already is not done again.

        Args:
            head: the schedule's newest entry, as it was read.

        Raises:
            BackendError: nothing is lost; the next call goes on where this one stopped.
            WrittenByNewer: the schedule is left to a newer release.
        """
        if head.kind is ControlKind.NEWER:
            raise WrittenByNewer(f"a newer release wrote the newest entry of schedule {head.name}")
        await self.settle(head)
        state = ScheduleState.of(head)
        if not state.fires:
            return head
        missed, ticks = schedule_state.split_due(state, now)
        if missed.ticks:
            follow = await self._on_top_of(head, schedule_state.skip_missed(head, missed))
            if follow is None:
                return head
            head = follow
        for tick in ticks:
            follow = await self._on_top_of(head, await self._draft_of(head, tick))
            if follow is None:
                return head
            head = follow
            await self.settle(head)
        return head

    async def _draft_of(self, head: ControlEntry, tick: datetime) -> ControlDraft:
        state = ScheduleState.of(head)
        if state.schedule.rule.overlap == "skip" and state.last_job_id is not None:
            newest = await self._trail.newest(state.last_job_id)
            if newest is not None and not newest.after.state.is_terminal:
                return schedule_state.skip_overlap(head, tick, state.last_job_id)
        return schedule_state.fire(head, tick)

    async def _on_top_of(self, head: ControlEntry, draft: ControlDraft) -> ControlEntry | None:
        """Append the draft unless another entry has followed ``head`` meanwhile."""

        def decide(newest: ControlEntry | None) -> ControlDraft | None:
            return draft if newest is not None and newest.sequence == head.sequence else None

        return await self._append(head.name, decide)

    async def _append(self, name: str, decide: Decision) -> ControlEntry | None:
        check_control_name(name, what="name")
        return await self._writer.append(ControlSubject.SCHEDULE, name, decide)

    async def _submit(self, entry: ControlEntry) -> Submitted:
        request = job_of(entry)
        assert request is not None
        try:
            job = await self._submitter.submit_internal(request, by=f"schedule {entry.name}")
        except BodyConflict as error:
            # The entry's job stands already, submitted by another release: that is done too.
            _log.warning(JOB_OF_TICK_DIFFERS, schedule=entry.name, error=str(error))
            job = Submitted(request.job_id, State.QUEUED, created=False)
        self._settled[entry.name] = entry.sequence
        return job


def _ticks_between(state: ScheduleState, since: datetime, until: datetime) -> list[datetime]:
    for field, moment in (("since", since), ("until", until)):
        try:
            checked_time(moment)
        except ValueError as error:
            raise InvalidRequest(f"{field}: {error}", field=field) from error
    if since >= until:
        raise InvalidRequest("until: must lie after since", field="until")
    following = state.ticks(since - timedelta(microseconds=1))
    ticks = list(islice(takewhile(lambda tick: tick < until, following), MOST_BACKFILLED + 1))
    if len(ticks) > MOST_BACKFILLED:
        raise InvalidRequest(
            f"until: the range holds more than {MOST_BACKFILLED:,} ticks; take it in parts",
            field="until",
        )
    return ticks
