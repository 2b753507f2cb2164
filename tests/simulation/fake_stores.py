"""The small stores: payloads, logs, dead letters, the worker directory, and the event feed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from jobfleet_contracts.cursor import CursorForm
from jobfleet_contracts.cut_text import cut_text
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import DeadLetter, Page
from jobfleet_contracts.job_logs import LogSize
from jobfleet_contracts.message import MalformedMessage
from jobfleet_contracts.worker_status import WorkerStatus
from tests.simulation.wire import Wire

FORGOTTEN_AFTER = timedelta(hours=1)
MAX_BODY_CHARACTERS = 32_000
_LETTER = CursorForm("(letter-[0-9]{6})")


class FakePayloadStore:
    """Blobs by name; of those that the retention removes, the judgement keeps a copy."""

    def __init__(self, *, blobs: dict[str, bytes], removed: dict[str, bytes], wire: Wire) -> None:
        self._blobs = blobs
        self._removed = removed
        self._wire = wire

    async def put(self, name: str, body: bytes) -> None:
        """Store it; what is there already stays."""
        await self._wire.write("payload.put", lambda: self._blobs.setdefault(name, body))

    async def get(self, name: str) -> bytes | None:
        """Return it."""
        return await self._wire.read("payload.get", lambda: self._blobs.get(name))

    async def delete_job(self, job_id: str) -> None:
        """Remove all that belongs to a job."""

        def act() -> None:
            for name in [name for name in self._blobs if name.startswith(f"{job_id}/")]:
                self._removed[name] = self._blobs.pop(name)

        await self._wire.write("payload.delete", act, about=job_id[-4:])


class FakeJobLogs:
    """Logs by job and epoch; a refused append changes nothing."""

    def __init__(self, *, logs: dict[str, dict[int, bytes]], wire: Wire) -> None:
        self._logs = logs
        self._wire = wire

    async def append(self, job_id: str, epoch: int, position: int, body: bytes) -> bool:
        """Append under the position."""

        def act() -> bool:
            log = self._logs.get(job_id, {}).get(epoch, b"")
            if len(log) == position:
                self._logs.setdefault(job_id, {})[epoch] = log + body
                return True
            return len(log) == position + len(body)

        return await self._wire.write("log.append", act, about=job_id[-4:])

    async def sizes(self, job_id: str) -> Sequence[LogSize]:
        """Return the epochs with their bytes."""
        return await self._wire.read(
            "log.sizes",
            lambda: [
                LogSize(epoch, len(log))
                for epoch, log in sorted(self._logs.get(job_id, {}).items())
            ],
        )

    async def read(self, job_id: str, epoch: int, *, start: int = 0, limit: int) -> bytes:
        """Return a range."""
        return await self._wire.read(
            "log.read",
            lambda: self._logs.get(job_id, {}).get(epoch, b"")[start : start + limit],
        )

    async def remove(self, job_id: str) -> None:
        """Remove the logs of a job."""
        await self._wire.write("log.remove", lambda: self._logs.pop(job_id, None))


@dataclass(frozen=True, slots=True)
class KeptLetter:
    """A malformed message as it came, and as a list shows it."""

    message: MalformedMessage
    shown: DeadLetter


class LetterTable:
    """Malformed messages, oldest first; one that is added twice stands twice."""

    def __init__(self) -> None:
        self.kept: list[KeptLetter] = []
        self._added = 0

    def messages(self) -> list[MalformedMessage]:
        """Return them as they came."""
        return [each.message for each in self.kept]

    def add(self, message: MalformedMessage, received_at: datetime) -> None:
        """Keep one."""
        self._added += 1
        shown = DeadLetter(
            letter_id=f"letter-{self._added:06}",
            received_at=received_at,
            reason=message.reason,
            body=cut_text(message.body.decode(errors="replace"), MAX_BODY_CHARACTERS),
            size=len(message.body),
            message_id=message.message_id,
        )
        self.kept.append(KeptLetter(message, shown))

    def older(self, letter_id: str) -> list[DeadLetter]:
        """Return those before one, newest first."""
        return [each.shown for each in self.kept if each.shown.letter_id < letter_id][::-1]

    def remove(self, letter_id: str) -> None:
        """Forget one."""
        self.kept = [each for each in self.kept if each.shown.letter_id != letter_id]


class FakeDeadLetterStore:
    """Malformed messages as one process adds and reads them."""

    def __init__(self, *, table: LetterTable, wire: Wire) -> None:
        self._table = table
        self._wire = wire

    async def add(self, letter: MalformedMessage, received_at: datetime) -> None:
        """Keep it."""
        await self._wire.write("dead_letter.add", lambda: self._table.add(letter, received_at))

    async def letters(self, *, cursor: str | None = None, limit: int = 100) -> Page[DeadLetter]:
        """Return them, newest first; the cursor is the id of the page's last one."""
        before = "~" if cursor is None else _LETTER.parts(cursor)[0]

        def ask() -> Page[DeadLetter]:
            older = self._table.older(before)
            more = older[limit - 1].letter_id if len(older) > limit else None
            return Page(older[:limit], more)

        return await self._wire.read("dead_letter.list", ask)

    async def remove(self, letter_id: str) -> None:
        """Forget one."""
        await self._wire.write("dead_letter.remove", lambda: self._table.remove(letter_id))


class FakeWorkerDirectory:
    """Who works here."""

    def __init__(self, *, rows: dict[str, WorkerStatus], wire: Wire) -> None:
        self._rows = rows
        self._wire = wire

    async def beat(self, status: WorkerStatus) -> None:
        """Replace this worker's row."""
        await self._wire.write(
            "directory.beat", lambda: self._rows.__setitem__(status.worker_id, status)
        )

    async def workers(self, *, with_stopped: bool = False) -> Sequence[WorkerStatus]:
        """Return whom something was heard of lately, the longest running first."""
        heard_since = self._wire.process.clock.now() - FORGOTTEN_AFTER

        def ask() -> Sequence[WorkerStatus]:
            rows = [row for row in self._rows.values() if row.heartbeat_at > heard_since]
            rows = [row for row in rows if with_stopped or row.stopped_at is None]
            return sorted(rows, key=lambda row: row.started_at)

        return await self._wire.read("directory.list", ask)

    async def worker(self, worker_id: str) -> WorkerStatus | None:
        """Return one worker, also one that is long silent."""
        return self._rows.get(worker_id)

    async def forget(self, before: datetime) -> None:
        """Remove rows of workers that were last heard of before."""
        for worker_id, row in list(self._rows.items()):
            if row.heartbeat_at < before:
                del self._rows[worker_id]


class FakeEventFeed:
    """Nobody listens."""

    def announce(self, events: Sequence[Event]) -> None:
        """Drop them."""
