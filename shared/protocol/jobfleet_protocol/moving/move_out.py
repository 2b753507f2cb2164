"""Reads a whole fleet out of its backend: seal, wait, then everything that another backend needs.

The order is the point. The seal comes first. The copy begins when nothing can be acknowledged any
more that it would lack. Each job that runs is waited for, or taken from its lost worker *before* it
is copied: from then on no event of that worker can be written.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import structlog

from jobfleet_contracts.control import ControlKind, ControlSubject
from jobfleet_contracts.control_ports import ControlLog
from jobfleet_contracts.errors import ActionRefused, DataMissing, InvalidRequest, LockMissing
from jobfleet_contracts.event import Event
from jobfleet_contracts.fleet_ports import RateStore
from jobfleet_contracts.job_logs import JobLogs
from jobfleet_contracts.ports import AuditTrail, Clock, LeaseStore, LockRecords, PayloadStore
from jobfleet_contracts.state import State, Status
from jobfleet_contracts.transaction import UserTransactions
from jobfleet_protocol.actions.action_journal import JOURNAL
from jobfleet_protocol.actions.bulk_action import ids_name
from jobfleet_protocol.audit.verification import complete_history
from jobfleet_protocol.claiming.lock_turns import TurnNote
from jobfleet_protocol.claiming.lost_for_good import taken_from
from jobfleet_protocol.control.fleet_seal import SETTLED_SECONDS, Seal, is_seal_log
from jobfleet_protocol.control.seals import Seals
from jobfleet_protocol.moving.item_line import check_export
from jobfleet_protocol.moving.move_item import (
    MovedBlob,
    MovedLog,
    MovedNote,
    MovedRate,
    MoveHeader,
    MoveItem,
    label,
)
from jobfleet_protocol.trail.large_data import resolve
from jobfleet_protocol.trail.tombstone import is_seal, tombstone_under
from jobfleet_protocol.trail.trail_writer import TrailWriter
from jobfleet_protocol.trail.transitions import draft

MOVER = "audit-export"
"""Stands as the worker in the ``TakenOver`` of a job whose worker was lost before the move."""
JOB_TAKEN = "move.job_taken"
LOG_PART = 256 * 1024
"""Bytes of a handler's log on a line of the file."""
LOOK_SECONDS = 1.0
"""Between two looks at a job that runs still, or a transaction that is open."""

_log = structlog.get_logger()


class MoveOut:
    """One move out of a backend.

    Attributes:
        problems: what could not be copied as it should be; complete when all items were taken.
    """

    def __init__(
        self,
        *,
        source: str,
        trail: AuditTrail,
        payloads: PayloadStore,
        leases: LeaseStore,
        locks: LockRecords,
        control_log: ControlLog,
        rates: RateStore,
        logs: JobLogs,
        transactions: UserTransactions | None,
        writer: TrailWriter,
        clock: Clock,
        wait_seconds: float,
        on_wait: Callable[[str], object],
    ) -> None:
        """Take the parts.

        Args:
            source: name of the backend, as ``embedded``.
            transactions: in which programs may submit jobs; ``None``: there are none.
            writer: the caller's service's; takes jobs from their lost workers.
            wait_seconds: how long to wait in all for jobs that run, and for open transactions.
            on_wait: called once for each thing that is waited for.
        """
        self._source = source
        self._trail = trail
        self._payloads = payloads
        self._leases = leases
        self._locks = locks
        self._control_log = control_log
        self._rate_store = rates
        self._job_logs = logs
        self._transactions = transactions
        self._writer = writer
        self._clock = clock
        self._seals = Seals(log=control_log, clock=clock)
        self._until = clock.boottime() + wait_seconds
        self._on_wait = on_wait
        self._waits_for: set[str] = set()
        self._turns: dict[str, TurnNote] = {}
        self._types: set[str] = set()
        self._started: list[str] = []
        self.problems: list[str] = []

    async def seal(self, move_id: str, *, by: str, reason: str) -> Seal:
        """Seal the fleet, and return when all that was acknowledged stands in the storage.

        Raises:
            ActionRefused: a transaction in which jobs may have been submitted stayed open.
        """
        seal = await self._seals.put(move_id, by=by, reason=reason)
        await asyncio.sleep(SETTLED_SECONDS)
        transactions = self._transactions
        if transactions is not None:
            moment = await transactions.moment()
            while not await transactions.are_over(moment):
                await self._wait_for("a transaction of a program that may have submitted jobs")
        return seal

    def header(self, seal: Seal) -> MoveHeader:
        """Return what the file says of itself."""
        return MoveHeader(seal.move_id, self._source, seal.by, seal.since)

    async def items(self) -> AsyncIterator[MoveItem]:
        """Yield all that is to be moved, and that an import takes.

        Memory holds one job, the ids of all jobs, and a turn for each shared lock.

        Raises:
            ActionRefused: a job ran on for longer than the caller waits.
        """
        async for history in self._trail.scan():
            for event in await self._of_job(history):
                yield event
        async for item in self._beside_jobs():
            if self._is_sound(item):
                yield item

    async def _beside_jobs(self) -> AsyncIterator[MoveItem]:
        async for log in self._control_log.scan():
            if is_seal_log(log[0]):
                continue
            for entry in log:
                yield entry
            last = log[-1]
            is_action = last.subject is ControlSubject.ACTION and last.name != JOURNAL
            if is_action and last.kind is not ControlKind.ENDED:
                body = await self._payloads.get(ids_name(last.name))
                if body is not None:
                    yield MovedBlob(ids_name(last.name), body)
        async for log_part in self._logs():
            yield log_part
        for lock, turn in sorted(self._turns.items()):
            yield MovedNote(lock, (await self._newest_turn(lock, turn)).to_note())
        async for rate in self._rates():
            yield rate

    async def _of_job(self, history: Sequence[Event]) -> Sequence[Event]:
        history = await self._unattended(history)
        if not all(event.is_readable for event in history):
            self.problems.append(f"job {history[0].job_id} is left out: a row cannot be read")
            return []
        if is_seal(history[-1]):  # the retention was about to remove it
            return [tombstone_under(history[-1])]
        whole = [await self._whole(event) for event in history]
        if not all(map(self._is_sound, whole)):
            return []
        self._types.add(history[0].facts.job_type)
        if history[-1].after.epoch > 0:
            self._started.append(history[0].job_id)
        for event in history:
            if event.kind is Status.STARTED:
                self._note_turns(event)
        return whole

    def _is_sound(self, item: MoveItem) -> bool:
        """Whether an import takes the item. If not, it was edited in this storage."""
        try:
            check_export(item)
        except InvalidRequest as error:
            self.problems.append(f"{label(item)} is left out: {error}")
            return False
        return True

    async def _unattended(self, history: Sequence[Event]) -> Sequence[Event]:
        """Return the history once no worker can add to it, nor send a request for it."""
        while True:
            head = history[-1]
            lock, running = head.after.lock, head.after.state is State.RUNNING
            if not (running or head.after.state is State.WAITING):
                return history
            if lock is not None and await self._leases.is_leased(lock):
                await self._wait_for(f"job {head.job_id}, which {head.after.worker_id} runs")
            elif not running:
                return history
            else:
                await self._take(head)
            history = await complete_history(self._trail, head.job_id)

    async def _take(self, head: Event) -> None:
        """Fence the lost worker in this trail. What it still sends is refused from then on."""
        events: list[Event] = []
        for change in taken_from(head.after, MOVER):
            previous = events[-1] if events else head
            events.append(draft(previous, head.facts, change, occurred_at=self._clock.now()))
        if await self._writer.append(events) is None:
            _log.warning(JOB_TAKEN, job_id=head.job_id, worker=head.after.worker_id)

    async def _whole(self, event: Event) -> Event:
        try:
            return await resolve(event, self._payloads)
        except DataMissing as error:
            self.problems.append(f"{error}; the event is moved without them")
            return event

    def _note_turns(self, started: Event) -> None:
        after = started.after
        taken = [(each.lock, each.turn) for each in after.locks]
        if after.lock is not None and after.lock_turn is not None:
            taken.append((after.lock, after.lock_turn))
        for lock, turn in taken:
            known = self._turns.get(lock)
            if known is None or known.turn < turn:
                self._turns[lock] = TurnNote(turn, started.job_id, after.epoch)

    async def _newest_turn(self, lock: str, started: TurnNote) -> TurnNote:
        """Return the lock's own note: it may name a claim that was never made, one turn higher."""
        try:
            note = TurnNote.of(await self._locks.read_note(lock))
        except LockMissing:
            return started
        except (KeyError, ValueError) as error:
            self.problems.append(f"the note of lock {lock} is left out: it cannot be read: {error}")
            return started
        return started if note is None or note.turn < started.turn else note

    async def _logs(self) -> AsyncIterator[MovedLog]:
        for job_id in self._started:
            for log in await self._job_logs.sizes(job_id):
                for start in range(0, log.size, LOG_PART):
                    body = await self._job_logs.read(job_id, log.epoch, start=start, limit=LOG_PART)
                    if body:
                        yield MovedLog(job_id, log.epoch, start, body)

    async def _rates(self) -> AsyncIterator[MovedRate]:
        """Yield the counts of limits and of types; those by a key of the payload begin anew."""
        limits = await self._control_log.heads(ControlSubject.LIMIT)
        keys = [f"limit/{limit.name}" for limit in limits]
        for key in (*keys, *(f"type/{name}" for name in sorted(self._types))):
            row = await self._rate_store.read(key)
            if row is not None and row.moment > self._clock.now():
                yield MovedRate(key, row.moment)

    async def _wait_for(self, what: str) -> None:
        if self._clock.boottime() > self._until:
            raise ActionRefused(
                f"waited in vain for {what}. The fleet stays sealed: export again, or lift the "
                "seal with `jobfleet audit unseal`"
            )
        if what not in self._waits_for:
            self._waits_for.add(what)
            self._on_wait(f"waiting for {what}")
        await asyncio.sleep(LOOK_SECONDS)
