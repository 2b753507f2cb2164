"""Hears cancel requests and makes the run that they concern look into its trail."""

from __future__ import annotations

import structlog

from jobfleet_contracts.control_ports import ControlChannel
from jobfleet_contracts.field_checks import is_canonical_uuid
from jobfleet_protocol.retry import retry_forever
from jobfleet_worker.run.executor import Executor

LISTENER_FAILED = "cancel_listener.failed"

_log = structlog.get_logger()


class CancelListener:
    """A message is only a hint: the trail says whether the job is to be cancelled."""

    def __init__(self, *, control: ControlChannel, executor: Executor) -> None:
        self._control = control
        self._executor = executor

    async def run(self) -> None:
        """Listen until cancelled, again after each failure."""
        await retry_forever(
            self._listen, lambda error: _log.warning(LISTENER_FAILED, error=str(error))
        )

    async def _listen(self) -> None:
        async for job_id in self._control.cancels():
            if is_canonical_uuid(job_id):  # any client of the broker may send any text
                self._executor.note_cancel(job_id)
