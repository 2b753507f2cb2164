"""Writes a moved fleet into an empty backend; repeatable after a kill at any point."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import groupby, islice
from typing import assert_never
from uuid import NAMESPACE_OID, uuid5

from jobfleet_contracts.backend import Limits
from jobfleet_contracts.control import ControlEntry
from jobfleet_contracts.control_ports import ControlLog
from jobfleet_contracts.errors import ActionRefused
from jobfleet_contracts.event import Event
from jobfleet_contracts.fleet_ports import RateStore
from jobfleet_contracts.group_marks import GroupMarks
from jobfleet_contracts.job_logs import JobLogs
from jobfleet_contracts.ports import AuditTrail, Clock, LeaseStore, LockRecords, PayloadStore
from jobfleet_protocol.actions.group_counts import marks_in
from jobfleet_protocol.control.fleet_seal import SETTLED_SECONDS, Seal, is_seal_log
from jobfleet_protocol.control.seals import Seals
from jobfleet_protocol.moving.move_item import (
    MovedBlob,
    MovedLog,
    MovedNote,
    MovedRate,
    MoveHeader,
    MoveItem,
)
from jobfleet_protocol.retry import retry_forever
from jobfleet_protocol.trail.large_data import externalise

JOBS_AT_ONCE = 32
MOST_ROWS = 50
"""Rows of one insert; the backend takes as many even if each has inline data."""
NOTE_LEASE_SECONDS = 15.0


class MoveIn:
    """One move into a backend. It is sealed until :meth:`finish`, so nothing starts half moved."""

    def __init__(
        self,
        *,
        trail: AuditTrail,
        limits: Limits,
        payloads: PayloadStore,
        leases: LeaseStore,
        locks: LockRecords,
        control_log: ControlLog,
        rates: RateStore,
        marks: GroupMarks,
        logs: JobLogs,
        clock: Clock,
        header: MoveHeader,
    ) -> None:
        self._trail = trail
        self._limits = limits
        self._payloads = payloads
        self._leases = leases
        self._locks = locks
        self._control_log = control_log
        self._rates = rates
        self._marks = marks
        self._logs = logs
        self._header = header
        self._seals = Seals(log=control_log, clock=clock)
        self._move_id = f"{header.move_id}-in"
        """Another one than the source's, so that a source is not taken for a begun import."""

    async def begin(self, *, by: str) -> bool:
        """Seal the backend, or find the seal of this import, which an earlier call has set.

        Returns:
            Whether there is something to do; ``False``: this file has been imported.

        Raises:
            ActionRefused: the backend is not empty, or is the one that the file comes from.
        """
        newest = await self._seals.newest()
        seal = Seal.of(newest)
        if seal is not None and seal.move_id == self._move_id:
            return True
        if newest is not None and newest.state.get("moveId") == self._header.move_id:
            raise ActionRefused("this is the backend that the file comes from: configure another")
        if seal is not None:
            raise ActionRefused(f"another move has sealed this backend: {seal.text}")
        if newest is not None and newest.state.get("moveId") == self._move_id:
            if newest.state.get("complete"):
                return False
            raise ActionRefused(
                "an import of this file into this backend was given up: configure an empty backend"
            )
        await self._require_empty()
        reason = f"import from {self._header.backend}"
        await self._seals.put(self._move_id, by=by, reason=reason)
        # A process that has not seen the seal yet may still write something.
        await asyncio.sleep(SETTLED_SECONDS)
        try:
            await self._require_empty()
        except ActionRefused:
            await self._seals.lift(by=by, reason="not empty", move_id=self._move_id)
            raise
        return True

    async def finish(self, *, by: str) -> None:
        """Lift the seal: the fleet is here now."""
        reason = f"imported from {self._header.backend}"
        await self._seals.lift(by=by, reason=reason, move_id=self._move_id, complete=True)

    async def take(self, items: Iterable[MoveItem]) -> None:
        """Write all of it; what stands here already, from an earlier call, is left as it is.

        Raises:
            ActionRefused: something else stands in the place of an event or entry.
        """
        for kind, group in groupby(items, key=_kind):
            if kind is Event:
                await self._take_jobs(group)  # type: ignore[arg-type]
            else:
                for item in group:
                    await self._take_other(item)

    async def _take_jobs(self, events: Iterable[Event]) -> None:
        histories = (list(job) for _, job in groupby(events, key=lambda event: event.job_id))
        while some := list(islice(histories, JOBS_AT_ONCE)):
            await asyncio.gather(*(retry_forever(partial(self._take_job, job)) for job in some))

    async def _take_job(self, history: Sequence[Event]) -> None:
        """Insert what is missing. After any error it is looked again: the rows may stand."""
        newest = await self._trail.newest(history[0].job_id)
        standing = 0 if newest is None else newest.sequence
        if newest is not None and (
            standing > len(history) or history[standing - 1].hash != newest.hash
        ):
            raise ActionRefused(
                f"event {standing} of job {newest.job_id} is here already and "
                "differs from the file's"
            )
        rows = min(self._limits.transaction_rows, MOST_ROWS)
        limit = self._limits.inline_bytes
        for first in range(standing, len(history), rows):
            some = history[first : first + rows]
            stored = [
                await externalise(event, self._payloads, inline_bytes=limit) for event in some
            ]
            await self._trail.insert(stored)
        for mark in marks_in(history):
            await self._marks.insert(*mark)

    async def _take_other(self, item: MoveItem) -> None:
        match item:
            case ControlEntry():
                await retry_forever(lambda: self._take_entry(item))
            case MovedNote():
                await retry_forever(lambda: self._take_note(item))
            case MovedRate(key, moment):
                if await retry_forever(lambda: self._rates.read(key)) is None:
                    await retry_forever(lambda: self._rates.replace(key, moment, read=None))
            case MovedBlob(name, body):
                await retry_forever(lambda: self._payloads.put(name, body))
            case MovedLog(job_id, epoch, position, body):
                # A log that ends elsewhere is left as it is: nothing rests on it.
                await retry_forever(lambda: self._logs.append(job_id, epoch, position, body))
            case Event():
                raise AssertionError("events are taken job by job")
            case never:
                assert_never(never)

    async def _take_entry(self, entry: ControlEntry) -> None:
        found = await self._control_log.read(entry.subject, entry.name, entry.sequence)
        if found is None:
            await self._control_log.insert(entry)
        elif found.entry_id != entry.entry_id:
            raise ActionRefused(
                f"entry {entry.sequence} of {entry.subject} {entry.name} is here already and "
                "differs from the file's"
            )

    async def _take_note(self, moved: MovedNote) -> None:
        """Write the note under a lease whose id a repeated import uses again."""
        lease_id = str(uuid5(NAMESPACE_OID, f"{self._move_id}/{moved.lock}"))
        await self._leases.create(moved.lock)
        await self._leases.acquire(moved.lock, lease_id, NOTE_LEASE_SECONDS)
        await self._locks.write_note(moved.lock, lease_id, moved.note)
        await self._leases.release(moved.lock, lease_id)

    async def _require_empty(self) -> None:
        message = "here: a fleet is moved into an empty backend only"
        async for history in self._trail.scan():
            raise ActionRefused(f"job {history[0].job_id} is {message}")
        async for log in self._control_log.scan():
            if not is_seal_log(log[0]):
                raise ActionRefused(f"{log[0].subject} {log[0].name} has a log {message}")


def _kind(item: MoveItem) -> type:
    return type(item)
