"""Starts the jobs that an operator lets run once though their queue or type is paused."""

from __future__ import annotations

from collections.abc import Callable, Collection

from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.ports import AuditTrail, Clock, PayloadStore
from jobfleet_contracts.state import CLAIMABLE
from jobfleet_protocol.actions.submission import message_of
from jobfleet_protocol.control.pause_state import FleetPauses
from jobfleet_protocol.trail.erased_values import holds_no_request


class ExemptJobs:
    """Hands this worker each such job once, if it serves the job's queue and type.

    All workers that serve it do so, and take it one after the other; the claim decides which one
    runs the job.
    """

    def __init__(
        self,
        *,
        trail: AuditTrail,
        payloads: PayloadStore,
        clock: Clock,
        queues: Collection[str],
        types: Collection[str],
        deliver_here: Callable[[JobMessage], None],
    ) -> None:
        self._trail = trail
        self._payloads = payloads
        self._clock = clock
        self._queues = queues
        self._types = types
        self._deliver_here = deliver_here
        self._seen: set[tuple[str, int]] = set()

    async def start(self, pauses: FleetPauses) -> None:
        """Hand over what is exempt and was not handed over yet.

        Raises:
            BackendError: the trail did not answer; the next call goes on.
        """
        in_force = (*pauses.queues.values(), *pauses.types.values())
        exempt = {item for pause in in_force for item in pause.exempt.items()}
        self._seen &= exempt
        for item in sorted(exempt - self._seen):
            await self._start(item[0], pauses)
            self._seen.add(item)

    async def _start(self, job_id: str, pauses: FleetPauses) -> None:
        head = await self._trail.newest(job_id)
        opening = await self._trail.read(job_id, 1)
        if head is None or opening is None or holds_no_request(opening):
            return
        facts = head.facts
        served = facts.queue in self._queues and facts.job_type in self._types
        if not served or head.after.state not in CLAIMABLE or pauses.holding_job(head) is not None:
            return
        self._deliver_here(await message_of(opening, head, self._payloads, self._clock.now()))
