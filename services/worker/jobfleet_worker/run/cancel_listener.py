"""Hears cancel requests and makes the run that they concern look into its trail."""

from __future__ import annotations

import asyncio

import structlog

from jobfleet_contracts.errors import BackendError
from jobfleet_contracts.ports import ControlChannel
from jobfleet_protocol.trail.trail_writer import pauses
from jobfleet_worker.run.executor import Executor

_log = structlog.get_logger()


class CancelListener:
    """A message is only a hint: the trail says whether the job is to be cancelled."""

    def __init__(self, *, control: ControlChannel, executor: Executor) -> None:
        self._control = control
        self._executor = executor

    async def run(self) -> None:
        """Listen until cancelled, again after each failure."""
        for pause in pauses():
            try:
                async for job_id in self._control.cancels():
                    self._executor.hear_cancel(job_id)
                return
            except BackendError as error:
                _log.warning("cancel_listener.failed", error=str(error))
                await asyncio.sleep(pause)
