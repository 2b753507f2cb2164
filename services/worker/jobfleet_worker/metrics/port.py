"""What a worker counts; this class forgets it all, for tests and the simulation."""

from __future__ import annotations

from collections.abc import Collection

from jobfleet_contracts.event import Event


class Metrics:
    """One method per fact; the parts of a worker call them and know nothing of Prometheus."""

    def types_known(self, types: Collection[str]) -> None:
        """Name the types that this worker runs; others are counted together."""

    def job_registered(self) -> None:
        """This worker began the trail of a job that a foreign publisher put on the queue."""

    def attempt_started(self, job_type: str, queue_delay_seconds: float) -> None:
        """A claim was written, so long after the job was ready to run."""

    def attempt_ended(self, job_type: str, seconds: float) -> None:
        """An attempt's ending was written, so long after it began."""

    def job_moved(self, event: Event) -> None:
        """This worker wrote an event that ends, retries or defers a job."""

    def job_deferred(self) -> None:
        """A message was put off because its lock is taken."""

    def attempt_fenced(self) -> None:
        """An attempt lost its lease or its epoch, and wrote nothing more."""

    def lease_asked(self, operation: str, result: str) -> None:
        """A lease operation was answered: ``ok``, ``conflict``, ``missing`` or ``unavailable``."""

    def lease_renewed(self, margin_seconds: float) -> None:
        """A lease was renewed, so long before trust in it would have ended."""


NO_METRICS = Metrics()
"""Has no state, so one serves all."""
