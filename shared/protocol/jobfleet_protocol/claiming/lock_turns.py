"""Turns under a lock that several jobs share: the successor fences the predecessor's trail.

Two jobs under one lock key have two trails, so the epoch of one does not fence the other. The
lock's note names the turn, the job and the epoch of the claim about to be made. The order of the
steps is the point: note, newest rows, trust, fence, note under the lease, and only then Started.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from jobfleet_contracts.errors import TrustEnded
from jobfleet_contracts.event import Event
from jobfleet_contracts.lease import Lease
from jobfleet_contracts.lookup_keys import lost_by
from jobfleet_contracts.ports import AuditTrail, Clock, LockRecords, PayloadStore
from jobfleet_contracts.state import State, Status
from jobfleet_protocol.actions.publication import Publication
from jobfleet_protocol.actions.submission import message_of
from jobfleet_protocol.claiming.lost_for_good import lost_for_good
from jobfleet_protocol.trail.trail_writer import TrailWriter
from jobfleet_protocol.trail.transitions import Change, draft

PREDECESSOR_FENCED = "predecessor.fenced"

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class TurnNote:
    """The note of a shared lock: the turn, and the job and epoch of the claim about to be made."""

    turn: int
    job_id: str
    epoch: int

    @classmethod
    def of(cls, note: Mapping[str, str]) -> TurnNote | None:
        """Read the note, ``None`` if no job has had a turn yet."""
        if "turn" not in note:
            return None
        return cls(int(note["turn"]), note["job"], int(note["epoch"]))

    def to_note(self) -> dict[str, str]:
        """Return the form that the lock keeps."""
        return {"turn": str(self.turn), "job": self.job_id, "epoch": str(self.epoch)}


@dataclass(frozen=True, slots=True)
class TurnView:
    """What one look at a lock showed: its note, the job named there, and one's own."""

    lock: str
    note: TurnNote | None
    named: Event | None
    own: Event | None


class LockTurns:
    """Takes turns under shared locks for one worker."""

    def __init__(
        self,
        *,
        trail: AuditTrail,
        locks: LockRecords,
        payloads: PayloadStore,
        writer: TrailWriter,
        publication: Publication,
        clock: Clock,
        worker_id: str,
    ) -> None:
        self._trail = trail
        self._locks = locks
        self._payloads = payloads
        self._writer = writer
        self._publication = publication
        self._clock = clock
        self._worker_id = worker_id

    async def look(self, lock: str, job_id: str) -> TurnView:
        """Read the note, then the newest rows of the job that it names and of one's own."""
        note = TurnNote.of(await self._locks.read_note(lock))
        own = await self._trail.newest(job_id)
        return TurnView(lock, note, await self._named(note, job_id), own)

    async def look_beside(self, lock: str, job_id: str) -> TurnView:
        """Like :meth:`look`, of a lock that a claim takes beside another: its own row is known."""
        note = TurnNote.of(await self._locks.read_note(lock))
        return TurnView(lock, note, await self._named(note, job_id), None)

    async def take(self, view: TurnView, lease: Lease, job_id: str) -> int | None:
        """Fence the job that had the turn before, then write the next turn under the lease.

        Call it only while the lease is trusted, checked after :meth:`look`.

        Returns:
            The turn to store in ``Started``; ``None``: something has moved, look again.

        Raises:
            LeaseConflict: the lock is another worker's by now, or it has another note, perhaps this
                worker's own of an earlier try. A late copy of that must not cover a newer note.
        """
        if not await self._closed(view):
            return None
        turn = 1 if view.note is None else view.note.turn + 1
        epoch = 1 if view.own is None else view.own.after.epoch + 1
        note = TurnNote(turn, job_id, epoch).to_note()
        read = {} if view.note is None else view.note.to_note()
        await self._locks.write_note(lease.lock, lease.lease_id, note, replacing=read)
        return turn

    async def fence_named(self, *, lock: str, trusted: Callable[[], bool]) -> None:
        """Fence the job that the note names, before anything else is done under a fresh lease.

        Raises:
            TrustEnded: the lease ran out meanwhile.
        """
        while True:
            note = TurnNote.of(await self._locks.read_note(lock))
            view = TurnView(lock, note, await self._named(note, None), None)
            if not trusted():
                raise TrustEnded(f"lease on {lock} ran out")
            if await self._closed(view):
                return

    async def _closed(self, view: TurnView) -> bool:
        if view.note is None or view.named is None:
            return True
        return await self._fence(view.lock, view.note, view.named)

    async def _named(self, note: TurnNote | None, own_id: str | None) -> Event | None:
        if note is None or note.job_id == own_id:
            return None
        return await self._trail.newest(note.job_id)

    async def _fence(self, lock: str, note: TurnNote, named: Event) -> bool:
        """Insert ``TakenOver`` where the named job may still be written by its last holder.

        A note is about its own lock only. The job that it names may run in another slot of its key
        or limit by now, under the same epoch.

        Returns:
            Whether the named job is closed now; ``False``: it has moved, look again.
        """
        after = named.after
        if after.state.is_terminal or after.state is State.WAITING:
            return True  # no claim can follow; a waiting job rests on its own lock
        # The note's writer had seen that no worker runs the job in the epoch before. That claim
        # may still be on its way, so it must be refused, whatever the job last rested on.
        in_flight = after.epoch < note.epoch
        rests_here = after.lock == lock or any(held.lock == lock for held in after.locks)
        is_running = after.state is State.RUNNING
        if not in_flight and not (is_running and after.epoch == note.epoch and rests_here):
            return True
        # A job that still says that it runs has lost its worker also where a later claim is on its
        # way: that one would have taken it over.
        change = Change(
            kind=Status.TAKEN_OVER,
            worker_id=self._worker_id,
            message=f"worker {after.worker_id} lost the lock" if is_running else "claim was lost",
            data=lost_by(after.worker_id if is_running else None),
        )
        now = self._clock.now()
        events = [draft(named, named.facts, change, occurred_at=now)]
        lost = events[0].after.takeovers
        if is_running and lost > after.max_takeovers:
            # In the same transaction: alone, TakenOver would put the job back into its queue.
            ended = lost_for_good(lost, self._worker_id)
            events.append(draft(events[0], named.facts, ended, occurred_at=now))
        if await self._writer.append(events) is not None:
            return False
        _log.warning(PREDECESSOR_FENCED, job_id=named.job_id, epoch=events[-1].after.epoch)
        await self._publish(events[-1])
        return True

    async def _publish(self, head: Event) -> None:
        opening = await self._trail.read(head.job_id, 1)
        if opening is None:
            return
        message = await message_of(opening, head, self._payloads, self._clock.now())
        await self._publication.try_to_send(message, head)
