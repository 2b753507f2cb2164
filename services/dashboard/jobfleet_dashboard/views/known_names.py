"""Types and queues that the fleet knows, as suggestions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobfleet_contracts.worker_status import WorkerStatus


@dataclass(frozen=True, slots=True)
class KnownNames:
    """Sorted, each once."""

    types: tuple[str, ...]
    queues: tuple[str, ...]

    @classmethod
    def of(cls, workers: Sequence[WorkerStatus]) -> KnownNames:
        """Collect what all workers say of themselves."""
        return cls(
            types=tuple(sorted({name for worker in workers for name in worker.types})),
            queues=tuple(sorted({name for worker in workers for name in worker.queues})),
        )
