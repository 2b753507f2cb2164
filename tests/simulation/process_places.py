"""Jobs that need one of a worker's processes. They run in the simulated loop all the same.

What is simulated is who gets a process, and what becomes of a message that finds none.
"""

from __future__ import annotations

from dataclasses import replace

from jobfleet_worker.handlers.registry import Handler, Handlers
from jobfleet_worker.processes.pool import process_pool
from jobfleet_worker.worker import Worker
from tests.simulation.sim_handlers import JOB_TYPE


class _InProcesses(Handlers):
    """The handlers as :class:`ProcessGate` sees them: the type of the jobs needs a process."""

    def __init__(self, handlers: Handlers) -> None:
        super().__init__([])
        self._those = handlers

    def get(self, job_type: str) -> Handler | None:
        found = self._those.get(job_type)
        if found is None or job_type != JOB_TYPE:
            return found
        return replace(found, run_in="process")


def need_places(worker: Worker, places: int) -> None:
    """Let the jobs of a worker need one of so many processes."""
    gate = worker._running.consumer._gates._process_gate
    gate._handlers = _InProcesses(gate._handlers)
    gate._pool = process_pool([], size=places)
