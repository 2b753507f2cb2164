"""What workers do to a job, written straight into trail and index."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.event import Event
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.state import Status
from jobfleet_protocol.trail.large_data import externalise
from jobfleet_protocol.trail.transitions import Change, draft

WORKER = new_id()


class Life:
    """Appends events that follow the transition table."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def write(self, job_id: str, *changes: Change) -> Event:
        """Append these changes in one transaction."""
        head = await self._backend.trail.newest(job_id)
        assert head is not None
        events: list[Event] = []
        limit = self._backend.limits.inline_bytes
        for change in changes:
            head = draft(head, head.facts, change, occurred_at=datetime.now(UTC))
            events.append(await externalise(head, self._backend.payloads, inline_bytes=limit))
        await self._backend.trail.insert(events)
        await self._backend.index.record(events)
        if head.after.state.is_terminal:
            await self._backend.index.close(job_id, head.after.incarnation)
        return head

    async def start(self, job_id: str, *, lock: str = "job/x") -> Event:
        return await self.write(job_id, Change(kind=Status.STARTED, worker_id=WORKER, lock=lock))

    async def step(self, job_id: str, number: int, **data: Any) -> Event:
        change = Change(
            kind=Status.STEP, step=number, worker_id=WORKER, data={"step": number, **data}
        )
        return await self.write(job_id, change)

    async def steps(self, job_id: str, count: int) -> Event:
        changes = [Change(kind=Status.STEP, step=n, worker_id=WORKER) for n in range(1, count + 1)]
        return await self.write(job_id, *changes)

    async def complete(self, job_id: str, result: Any = None) -> Event:
        data = {"result": result}
        change = Change(kind=Status.COMPLETED, worker_id=WORKER, duration_ms=5, data=data)
        return await self.write(job_id, change)

    async def fail(self, job_id: str, message: str = "broken", **data: Any) -> Event:
        error = {"type": "ValueError", "message": message, "traceback": "…", "place": "shop.sync"}
        change = Change(
            kind=Status.FAILED, worker_id=WORKER, message=message, data={"error": error, **data}
        )
        return await self.write(job_id, change)

    async def retry(self, job_id: str, message: str = "broken") -> Event:
        error = {"type": "ValueError", "message": message, "traceback": "…", "place": "shop.sync"}
        failed = Change(kind=Status.ATTEMPT_FAILED, worker_id=WORKER, data={"error": error})
        again = Change(kind=Status.RETRY_SCHEDULED, worker_id=WORKER, data={"delaySeconds": 2})
        return await self.write(job_id, failed, again)
