"""Declare the schedules of this worker's code, warn where workers declare one differently, and say
which schedules' payloads this worker's handlers refuse."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from jobfleet_contracts.control import ControlEntry
from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.cut_text import cut_text
from jobfleet_contracts.errors import BackendError
from jobfleet_contracts.fleet_ports import WorkerDirectory
from jobfleet_contracts.ports import Clock
from jobfleet_contracts.worker_status import WorkerStatus, contents_by_name
from jobfleet_protocol.control.schedule_state import ScheduleState
from jobfleet_protocol.control.schedules import Schedules
from jobfleet_worker.handlers.registry import Handlers
from jobfleet_worker.handlers.user_thread import in_user_thread
from jobfleet_worker.upkeep.heartbeat import Heartbeat

DECLARATIONS_AWAITED = "schedules.awaited"
CONTENTS_DIFFER = "schedule.contents_differ"
PAYLOAD_REFUSED = "schedule.payload_refused"
MOST_REFUSED, LONGEST_REFUSAL = 20, 300
LOOK_SECONDS = 30.0
LIVE_SECONDS = 60.0
"""A worker counts so long after its last heartbeat: two contents must not take turns because
heartbeats of one of them were late."""

_log = structlog.get_logger()


class CodeSchedules:
    """Declares at the start, and looks again while the worker runs.

    It looks again because a newer declaration counts only while a live worker makes it. After a
    deployment is rolled back, the remaining workers declare theirs.
    """

    def __init__(
        self,
        *,
        handlers: Handlers,
        schedules: Schedules,
        directory: WorkerDirectory,
        heartbeat: Heartbeat,
        clock: Clock,
    ) -> None:
        self._handlers = handlers
        self._declared = handlers.schedules
        self._schedules = schedules
        self._directory = directory
        self._heartbeat = heartbeat
        self._clock = clock
        self._beats: dict[str, tuple[object, float]] = {}
        self._warned: dict[str, frozenset[str]] = {}
        self._refused: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Declare until cancelled. An outage is waited for; jobs run meanwhile."""
        # Announced first: else a worker with older code would take the declaration back at once.
        await self._heartbeat.announced.wait()
        awaited = False
        while True:
            try:
                await self.look()
                awaited = False
            except BackendError as error:
                if not awaited:
                    _log.warning(DECLARATIONS_AWAITED, error=str(error))
                awaited = True
            await asyncio.sleep(1 if awaited else LOOK_SECONDS)

    async def look(self) -> None:
        """Declare what the log lacks, and check the payloads of what is in force.

        Raises:
            BackendError: the log or the directory did not answer.
        """
        if self._declared:
            await self._declare()
        heads = await self._schedules.all()
        # A validator of the handler's may take its time: heartbeats must not wait for it.
        refused = await in_user_thread(self._find_refused, heads, name="schedule-payloads")
        self._heartbeat.refused = dict(refused.values())
        for name in refused.keys() - self._refused:
            _log.warning(
                PAYLOAD_REFUSED,
                schedule=name,
                error=refused[name][1],
                remedy="declare it with a payload that the handler takes",
            )
        self._refused = frozenset(refused)

    def _find_refused(self, heads: Sequence[ControlEntry]) -> dict[str, tuple[str, str]]:
        """Return the digest of each schedule whose payload is refused, and why, by name."""
        found: dict[str, tuple[str, str]] = {}
        for head in heads:
            try:
                schedule = ScheduleState.of(head).schedule
                refusal = self._handlers.refusal_of(schedule)
            except Exception:  # noqa: BLE001, S112 - the list of schedules says what cannot be read
                continue
            if refusal is not None and len(found) < MOST_REFUSED:
                found[head.name] = (
                    schedule.digest(),
                    cut_text(masked_text(refusal), LONGEST_REFUSAL),
                )
        return found

    async def _declare(self) -> None:
        workers = [each for each in await self._directory.workers() if self._is_live(each)]
        live = contents_by_name(workers)
        await self._schedules.declare_all_by_code(
            self._declared, live={name: frozenset(found) for name, found in live.items()}
        )
        for name, found in live.items():
            self._warn(name, found)

    def _is_live(self, worker: WorkerStatus) -> bool:
        """Return whether the heartbeat changed recently. Its time may be of a wrong clock."""
        now = self._clock.boottime()
        beat, seen_at = self._beats.get(worker.worker_id, (None, now))
        if beat != worker.heartbeat_at:
            seen_at = now
            self._beats[worker.worker_id] = (worker.heartbeat_at, now)
        return now - seen_at <= LIVE_SECONDS

    def _warn(self, name: str, contents: Mapping[str, list[str]]) -> None:
        digests = frozenset(contents)
        if len(digests) > 1 and self._warned.get(name) != digests:
            _log.warning(
                CONTENTS_DIFFER,
                schedule=name,
                contents={digest[:12]: workers for digest, workers in contents.items()},
                remedy="the newest is in force; deploy one content, or use two names",
            )
        self._warned[name] = digests
