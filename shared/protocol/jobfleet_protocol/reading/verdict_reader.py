"""Reads what the verdict on the fleet rests on; cost does not depend on what is stored."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from jobfleet_contracts.control import ControlEntry
from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.error_group import NO_HANDLER, ErrorGroup
from jobfleet_contracts.errors import BackendError
from jobfleet_contracts.fleet_ports import WorkerDirectory
from jobfleet_contracts.index import Census, EventQuery, JobQuery, QueueDepth
from jobfleet_contracts.internal_job import GROUP_TYPE
from jobfleet_contracts.ports import AuditTrail, Clock, JobIndexReader, JobQueue
from jobfleet_contracts.state import DEAD, State, Status
from jobfleet_protocol.control.pauses import Pauses
from jobfleet_protocol.control.schedule_state import ScheduleState
from jobfleet_protocol.control.schedules import Schedules
from jobfleet_protocol.reading.fleet_verdict import (
    FleetFacts,
    FleetVerdict,
    HeldGroup,
    TypeEndings,
    fleet_verdict,
)
from jobfleet_protocol.reading.group_reader import GroupReader
from jobfleet_protocol.reading.masking_turns import in_turn, in_turns
from jobfleet_protocol.reading.worker_jobs import read_workers

MINUTES = 5
"""So many minutes of endings count, the present one included."""
_TYPES = 5
_MOST_EVENTS = 999
"""With the one that tells whether there are more: a request's worth of rows on Azure."""
_DEFERRED = JobQuery(states=frozenset({State.DEFERRED}), limit=100)
_GROUPS = JobQuery(states=frozenset({State.WAITING}), job_type=GROUP_TYPE, limit=50)
"""So many open groups are looked at, those that changed last."""
_REST = 9
"""A verdict is kept this many times as long as it took: at most a tenth of the time."""


class VerdictReader:
    """Judges the fleet, once for all who ask at about the same time."""

    def __init__(
        self,
        *,
        trail: AuditTrail,
        reader: JobIndexReader,
        queue: JobQueue,
        directory: WorkerDirectory,
        pauses: Pauses,
        schedules: Schedules,
        clock: Clock,
        census: Callable[[], Awaitable[Census]],
        groups: GroupReader,
    ) -> None:
        self._trail = trail
        self._reader = reader
        self._queue = queue
        self._directory = directory
        self._pauses = pauses
        self._schedules = schedules
        self._clock = clock
        self._census = census
        self._groups = groups
        self._lock = asyncio.Lock()
        self._verdict: FleetVerdict | None = None
        self._read_at = self._fresh_until = float("-inf")

    async def read(self, *, max_age_seconds: float = 0) -> FleetVerdict:
        """Return the verdict; a broker that is away is one of its problems.

        Args:
            max_age_seconds: a kept verdict that is younger will do, whatever it cost to read.

        Raises:
            BackendUnavailable: the storage cannot be read.
        """
        if (kept := self._kept(max_age_seconds)) is not None:
            return kept
        async with self._lock:
            if (kept := self._kept(max_age_seconds)) is not None:  # another has just read it
                return kept
            began = self._clock.boottime()
            facts = await self._facts()
            self._verdict = await in_turn(fleet_verdict, facts, facts.masked_texts)
            self._read_at = ended = self._clock.boottime()
            self._fresh_until = ended + (ended - began) * _REST
            return self._verdict

    def _kept(self, max_age_seconds: float) -> FleetVerdict | None:
        until = max(self._fresh_until, self._read_at + max_age_seconds)
        return self._verdict if self._clock.boottime() < until else None

    async def _facts(self) -> FleetFacts:
        now = self._clock.now()
        since = now.replace(second=0, microsecond=0) - timedelta(minutes=MINUTES - 1)
        (
            (census, workers, depths, pauses),
            (ended, errors, deferred, schedules, held),
        ) = await asyncio.gather(
            asyncio.gather(
                self._census(),
                read_workers(self._directory, self._trail, now),
                self._depths(),
                self._pauses.read(),
            ),
            asyncio.gather(
                self._reader.ended(since=since, step="minute"),
                self._reader.errors(since=since, step="minute"),
                self._reader.jobs(_DEFERRED),
                self._schedules.all(),
                self._held(),
            ),
        )
        broker = depths if isinstance(depths, str) else ""
        waiting = [row.facts for row in deferred.items]
        waiting += [row.facts for row in census.longest_queued.values()]
        return FleetFacts(
            now=now,
            counts=census.counts,
            workers=workers,
            longest_queued=census.longest_queued,
            queued=census.queued,
            depths=() if isinstance(depths, str) else depths,
            pauses=pauses,
            ended=sum(one.jobs for one in ended),
            ended_badly=sum(one.jobs for one in ended if one.state in DEAD),
            failing=await self._failing(errors.groups, since),
            deferred_types=Counter(facts.job_type for facts in waiting if facts.job_type),
            late=_late(schedules, now),
            held=held,
            broker=broker,
        )

    async def _depths(self) -> Sequence[QueueDepth] | str:
        """Return the depths, or why the broker did not give them."""
        try:
            return await self._queue.depths()
        except BackendError as error:
            return str(error)

    async def _held(self) -> Sequence[HeldGroup]:
        rows = {row.facts.job_id: row for row in (await self._reader.jobs(_GROUPS)).items}
        held = await self._groups.held(rows)
        return [
            HeldGroup(group_id=group_id, name=rows[group_id].facts.job_name, bad=bad)
            for group_id, bad in held.items()
        ]

    async def _failing(
        self, groups: Sequence[ErrorGroup], since: datetime
    ) -> Sequence[TypeEndings]:
        by_type: dict[str, list[ErrorGroup]] = {}
        for group in groups:
            if group.total.jobs:
                by_type.setdefault(group.key.job_type or group.key.error, []).append(group)
        worst = sorted(by_type.values(), key=_dead_jobs, reverse=True)[:_TYPES]
        return await asyncio.gather(*(self._endings(of_type, since) for of_type in worst))

    async def _endings(self, groups: Sequence[ErrorGroup], since: datetime) -> TypeEndings:
        bad, job_type = _dead_jobs(groups), groups[0].key.job_type
        good: int | None = 0 if groups[0].key.error == NO_HANDLER else None
        if job_type:
            good = await self._good(job_type, since)
        ordered = sorted(groups, key=lambda group: group.total.jobs, reverse=True)
        commonest, classes = ordered[0], dict.fromkeys(group.key.error for group in ordered)
        others = [name for name in classes if name != commonest.key.error]
        message, *names = await in_turns(masked_text, [commonest.message, *others])
        return TypeEndings(
            job_type=job_type,
            bad=bad,
            ended=None if good is None else bad + good,
            since=max(since, min(group.first_at for group in groups)),
            message=message.split("\n", 1)[0][:300],
            others=names,
        )

    async def _good(self, job_type: str, since: datetime) -> int | None:
        """Return how many jobs of the type completed, ``None`` if they are too many to count."""
        query = EventQuery(
            statuses=frozenset({Status.COMPLETED.value}),
            job_type=job_type,
            since=since,
            limit=_MOST_EVENTS,
        )
        page = await self._reader.events(query)
        return None if page.next is not None else len(page.items)


def _dead_jobs(groups: Sequence[ErrorGroup]) -> int:
    return sum(group.total.jobs for group in groups)


def _late(heads: Sequence[ControlEntry], now: datetime) -> dict[str, datetime]:
    late: dict[str, datetime] = {}
    for head in heads:
        try:
            since = ScheduleState.of(head).late_since(now)
        except Exception:  # noqa: BLE001, S112 - the list of schedules says what cannot be read
            continue
        if since is not None:
            late[head.name] = since
    return late
