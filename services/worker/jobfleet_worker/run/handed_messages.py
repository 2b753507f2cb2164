"""Messages that a part of this worker hands to it; each counts the workers that it has cost.

No queue holds them, so no queue counts their deliveries. A lock of each job does. The worker that
takes the message leases the lock and writes its lease id into the note. If it neither removes the
lock nor gives the message back, the next worker that leases the lock counts a lost worker.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from jobfleet_contracts.errors import BackendError, LeaseConflict
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.lease import handed_lock
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.ports import Clock, LeaseStore, LockRecords

RETRY_SECONDS = 5.0
"""After which a message is asked for again that another worker holds, or storage did not answer."""
MESSAGE_NOT_TAKEN = "handed_message.not_taken"

_INCARNATION, _LOST, _TAKER = "incarnation", "lost", "taker"

_log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class _Handed:
    """A message that this worker handed to itself.

    Attributes:
        next_try, last_try: boot-time seconds. If another worker still holds it at the last try, the
            message is dropped: the rescuer finds its job.
        lost_workers: before this worker took it; ``None`` until the note has been read.
    """

    message: JobMessage
    lease_id: str
    next_try: float
    last_try: float
    lost_workers: int | None = None

    @property
    def lock(self) -> str:
        return handed_lock(self.message.request.job_id)

    def note(self, *, is_taken: bool) -> Mapping[str, str]:
        taker = {_TAKER: self.lease_id} if is_taken else {}
        counted = {_INCARNATION: str(self.message.incarnation), _LOST: str(self.lost_workers or 0)}
        return counted | taker

    def lost_by(self, note: Mapping[str, str]) -> int:
        """Return how many workers were lost before this one, by the note of the one before."""
        if note.get(_INCARNATION) != str(self.message.incarnation):
            return 0
        is_lost = note.get(_TAKER) not in (None, self.lease_id)
        return int(note.get(_LOST, 0)) + is_lost


class HandedMessage:
    """Such a message, taken; see :class:`jobfleet_contracts.ports.Delivery`."""

    __slots__ = ("_handed", "_holder", "lost_workers", "message")

    def __init__(self, *, holder: HandedMessages, handed: _Handed) -> None:
        self._holder = holder
        self._handed = handed
        self.message = handed.message
        self.lost_workers = handed.lost_workers or 0

    async def ack(self) -> None:
        """Forget its count. If that is not confirmed, the next worker counts one more."""
        await self._holder.acknowledge(self._handed)

    async def requeue(self) -> None:
        """Keep its count. No queue holds it: the rescuer finds its job again."""
        await self._holder.give_back(self._handed)


class HandedMessages:
    """Holds the messages until they are taken, and the locks of those that are taken."""

    def __init__(
        self, *, leases: LeaseStore, locks: LockRecords, clock: Clock, lease_seconds: float
    ) -> None:
        self._leases = leases
        self._locks = locks
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._waiting: deque[_Handed] = deque()
        self._taken: set[_Handed] = set()

    def hand(self, message: JobMessage) -> None:
        """Let a later call of ``take`` return this message."""
        now = self._clock.boottime()
        last_try = now + 2 * self._lease_seconds
        self._waiting.append(_Handed(message, new_id(), now, last_try))

    async def take(self) -> HandedMessage | None:
        """Return the next message, alone; ``None`` if none can be taken now.

        Storage that does not answer keeps a message here: it is asked for again later.
        """
        for _ in range(len(self._waiting)):
            handed = self._waiting.popleft()
            if handed.next_try > self._clock.boottime():
                self._waiting.append(handed)
            elif await self._is_taken(handed):
                return HandedMessage(holder=self, handed=handed)
        return None

    async def acknowledge(self, handed: _Handed) -> None:
        """Remove the lock of a message, unless it was given back.

        Raises:
            BackendUnavailable: not confirmed; the lock may still count the message as taken.
        """
        if handed in self._taken:
            await self._leases.delete(handed.lock, handed.lease_id)
            self._taken.discard(handed)

    async def give_back(self, handed: _Handed) -> None:
        """Let another worker take the message without counting this one.

        Raises:
            BackendUnavailable: not confirmed; the lock may still count the message as taken.
        """
        if handed not in self._taken:
            return
        if handed.lost_workers == 0:
            await self._leases.delete(handed.lock, handed.lease_id)
        else:
            if handed.lost_workers is not None:
                note = handed.note(is_taken=False)
                await self._locks.write_note(handed.lock, handed.lease_id, note)
            await self._leases.release(handed.lock, handed.lease_id)
        self._taken.discard(handed)

    async def stop(self) -> None:
        """Take nothing more, and give back what is taken and not acknowledged."""
        self._waiting.clear()
        taken = [self.give_back(handed) for handed in self._taken]
        for result in await asyncio.gather(*taken, return_exceptions=True):
            if isinstance(result, Exception) and not isinstance(result, BackendError):
                raise result

    async def _is_taken(self, handed: _Handed) -> bool:
        # Before the first request: cancelled in between, ``stop`` gives the message back.
        self._taken.add(handed)
        try:
            await self._leases.acquire(
                handed.lock, handed.lease_id, self._lease_seconds, create=True
            )
            note = await self._locks.read_note(handed.lock)
            handed.lost_workers = handed.lost_by(note)
            if note.get(_TAKER) != handed.lease_id:
                ours = handed.note(is_taken=True)
                await self._locks.write_note(handed.lock, handed.lease_id, ours, replacing=note)
        except BackendError as error:
            if isinstance(error, LeaseConflict):
                self._taken.discard(handed)
            _log.debug(MESSAGE_NOT_TAKEN, job_id=handed.message.request.job_id, error=str(error))
            self._ask_again(handed, error)
            return False
        return True

    def _ask_again(self, handed: _Handed, error: BackendError) -> None:
        now = self._clock.boottime()
        handed.next_try = now + RETRY_SECONDS
        if not isinstance(error, LeaseConflict) or handed.next_try <= handed.last_try:
            self._waiting.append(handed)
