"""One embedded backend whose ports a test can spoil, and what the protocol offers on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from jobfleet_backends.settings import Settings
from jobfleet_backends.sqlite.backend import open_embedded
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.event import MAX_TAKEOVERS, Event
from jobfleet_contracts.index import OpenRow
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.lease import Lease, worker_lock
from jobfleet_contracts.message import JobDefaults, JobMessage
from jobfleet_contracts.ports import Delivery
from jobfleet_contracts.state import Status
from jobfleet_contracts.value_coder import NO_CODER, ValueCoder
from jobfleet_protocol.actions.write_side import WriteSide
from jobfleet_protocol.audit.verification import Verifier
from jobfleet_protocol.claiming.claim_parts import ClaimParts, FleetControls, JobRules
from jobfleet_protocol.claiming.claim_result import Claimed, ClaimResult, Unclear
from jobfleet_protocol.claiming.claimer import Claimer
from jobfleet_protocol.claiming.lock_leases import new_lease_id
from jobfleet_protocol.claiming.rate_limiter import RateLimiter
from jobfleet_protocol.claiming.start_terms import NO_TERMS, StartTerms
from jobfleet_protocol.control.limit_state import Limit
from jobfleet_protocol.control.pause_state import NO_PAUSES, FleetPauses
from jobfleet_protocol.trail.transitions import Change
from tests.protocol.faulty_port import FaultyPort
from tests.protocol.steered_clock import SteeredClock

LEASE_SECONDS = 15.0
DEFAULTS = JobDefaults(
    max_attempts=3, retry_delay_seconds=1, retry_max_seconds=10, timeout_seconds=60
)


@dataclass
class SteeredLease:
    """A lease that a worker keeps under renewal; a test ends it."""

    lease: Lease
    clock: SteeredClock
    is_lost: bool = False

    @property
    def lock(self) -> str:
        return self.lease.lock

    def current(self) -> Lease:
        return self.lease

    def is_trusted(self) -> bool:
        return not self.is_lost and self.clock.boottime() < self.lease.trusted_until


class Bench:
    """Ports by name are those of the clients under test; ``real`` is what is behind them."""

    def __init__(self, real: Backend, clock: SteeredClock) -> None:
        self.real = real
        self.clock = clock
        self.trail = FaultyPort(real.trail)
        self.leases = FaultyPort(real.leases)
        self.locks = FaultyPort(real.locks)
        self.queue = FaultyPort(real.queue)
        self.index = FaultyPort(real.index)
        self.control = FaultyPort(real.control)
        self.payloads = FaultyPort(real.payloads)
        self.openings = FaultyPort(real.openings)
        self.backend = replace(
            real,
            openings=None,  # in three steps, as on Azure: each can be spoiled
            trail=self.trail,
            leases=self.leases,
            locks=self.locks,
            queue=self.queue,
            index=self.index,
            control=self.control,
            payloads=self.payloads,
        )
        self.writes = WriteSide.wire(backend=self.backend, clock=clock, defaults=DEFAULTS)
        self.submitter = self.writes.submitter
        self.canceller = self.writes.canceller
        self.redriver = self.writes.redriver
        self.pauses = NO_PAUSES
        self.terms = NO_TERMS
        self.given_up: list[Unclear] = []

    def claimer(self, worker_id: str = "w1", coder: ValueCoder = NO_CODER) -> Claimer:
        parts = ClaimParts(
            trail=self.backend.trail,
            leases=self.backend.leases,
            locks=self.backend.locks,
            index=self.backend.index,
            payloads=self.backend.payloads,
            writer=self.writes.writer,
            publication=self.writes.publication,
            clock=self.clock,
            worker_id=worker_id,
            lease_seconds=LEASE_SECONDS,
            rules=JobRules(
                defaults=DEFAULTS,
                takeover_limit=lambda request: 0 if request.on_lost == "fail" else MAX_TAKEOVERS,
                attempt_limit=lambda request, given: request.max_attempts or given.max_attempts,
                terms=self._terms,
            ),
            controls=FleetControls(
                pauses=self._read_pauses,
                limits=self._read_limits,
                rates=RateLimiter(
                    store=self.backend.rates,
                    clock=self.clock,
                    clock_offset=self.backend.clock_offset,
                ),
                seal=self.writes.seal,
            ),
            give_back=self.given_up.append,
            coder=coder,
            claims=self.backend.claims,
        )
        return Claimer(parts)

    async def _terms(self, request: JobRequest) -> StartTerms:
        return self.terms

    async def worker_lock(self, worker_id: str = "w1", generation: int = 1) -> SteeredLease:
        """Lease a worker's own lock."""
        leases = self.claimer(worker_id).leases
        lock = worker_lock(worker_id, generation)
        return SteeredLease(await leases.acquire(lock, new_lease_id(), is_new=True), self.clock)

    async def _read_limits(self) -> Mapping[str, Limit]:
        return {limit.name: limit for limit in self.terms.limits}

    async def _read_pauses(self) -> FleetPauses:
        return self.pauses

    async def submit(self, **fields: Any) -> JobRequest:
        request = JobRequest(**{"type": "x", **fields})
        await self.submitter.submit(request)
        return request

    async def message(self, request: JobRequest, **changes: Any) -> JobMessage:
        head = await self.head(request.job_id)
        opening = await self.real.trail.read(request.job_id, 1)
        known = JobMessage(
            request=request,
            defaults=DEFAULTS,
            sequence=head.sequence,
            published_at=self.clock.now(),
            due_at=head.after.due_at,
            opening_hash=None if opening is None else opening.hash,
        )
        return replace(known, **changes)

    async def claim(
        self, request: JobRequest, worker_id: str = "w1", **message: Any
    ) -> ClaimResult:
        return await self.claimer(worker_id).claim(
            await self.message(request, **message), lease_id=new_lease_id(), is_alone=True
        )

    async def claimed(self, request: JobRequest, worker_id: str = "w1") -> Claimed:
        result = await self.claim(request, worker_id)
        assert isinstance(result, Claimed)
        return result

    async def end(self, claimed: Claimed, status: str = "Completed", **change: Any) -> Event:
        """End the attempt and release its lease, as a worker does."""
        worker_id = claimed.trail.head.after.worker_id
        ending = Change(kind=Status.of(status), worker_id=worker_id, **change)
        head = await claimed.trail.write(lambda _: [ending], last=True)
        await self.claimer().leases.give_up(claimed.lease, claimed.request)
        return head

    async def first(self, job_id: str) -> Event:
        event = await self.real.trail.read(job_id, 1)
        assert event is not None
        return event

    async def head(self, job_id: str) -> Event:
        head = await self.real.trail.newest(job_id)
        assert head is not None
        return head

    async def history(self, job_id: str) -> Sequence[Event]:
        return await self.real.trail.history(job_id)

    async def statuses(self, job_id: str) -> list[str]:
        return [event.status for event in await self.history(job_id)]

    async def open_rows(self) -> list[OpenRow]:
        await self.real.index.flush()
        return list((await self.real.reader.open_rows()).items)

    async def messages(self) -> list[JobMessage]:
        """Take everything off the queue that is visible now."""
        consumer = self.real.consumer()
        await consumer.start(["default"])
        taken: list[Delivery] = list(await consumer.receive(1000, timedelta(0)))
        await asyncio.gather(*(delivery.ack() for delivery in taken))
        await consumer.stop()
        return [d.message for d in taken if isinstance(d.message, JobMessage)]

    async def verify(self) -> None:
        verifier = Verifier()
        async for history in self.real.trail.scan():
            verifier.add(history)
        found = verifier.finish()
        assert not found, "\n".join(map(str, found))


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Bench]:
    clock = SteeredClock()
    real = await open_embedded(Settings(backend="embedded", data_dir=folder), clock=clock)
    bench = Bench(real, clock)
    try:
        yield bench
        await bench.verify()
    finally:
        await real.close()
