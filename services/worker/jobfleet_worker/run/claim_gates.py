"""What a worker asks about a message before it claims the job."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from jobfleet_contracts.message import JobMessage
from jobfleet_worker.run.handler_gate import HandlerGate
from jobfleet_worker.run.process_gate import ProcessGate
from jobfleet_worker.run.rate_gate import RateGate
from jobfleet_worker.run.storage_patience import StoragePatience


class ClaimGates:
    """Puts messages off whose jobs this worker cannot start now. Needs no lease.

    Each question raises :class:`BackendError` if storage does not answer for the length of a
    lease; keep the delivery then.
    """

    def __init__(
        self,
        *,
        handler_gate: HandlerGate,
        rate_gate: RateGate,
        process_gate: ProcessGate,
        patience: StoragePatience,
    ) -> None:
        self._handler_gate = handler_gate
        self._rate_gate = rate_gate
        self._process_gate = process_gate
        self._patience = patience

    async def leave_to_others(self, message: JobMessage) -> bool:
        """Put off a job of a type or a key that this worker lacks; returns whether it was."""
        if self._handler_gate.has_all(message):  # nearly always: nothing is asked
            return False
        return await self._patience.repeat(message, lambda: self._handler_gate.puts_off(message))

    async def put_off_by_rate(self, message: JobMessage) -> bool:
        """Put off a job that finds no start of its rate; returns whether it was put off."""
        if self._rate_gate.lets_pass(message):
            return False
        return await self._patience.repeat(message, lambda: self._rate_gate.puts_off(message))

    def process_place(self, message: JobMessage) -> AbstractAsyncContextManager[bool]:
        """Wait for a process, if the job needs one; yields whether the job may be claimed."""
        return self._process_gate.place(message)

    async def put_off_without_process(self, message: JobMessage) -> bool:
        """Put off a job that got no process, if it needs a start; returns whether it was."""
        return await self._patience.repeat(message, lambda: self._process_gate.put_off(message))
