"""All servers of a run, and the backend through which one process reaches them."""

from __future__ import annotations

from typing import Any, cast

from jobfleet_backends.azure.table_limits import LIMITS
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.control import ControlSubject
from jobfleet_contracts.worker_status import WorkerStatus
from jobfleet_protocol.control.fleet_seal import SEAL, Seal
from tests.simulation.fake_broker import Broker, FakeJobConsumer, FakeJobQueue
from tests.simulation.fake_claims import FakeJobClaims
from tests.simulation.fake_control import ControlExchange, FakeControlChannel
from tests.simulation.fake_control_log import ControlTable, FakeControlLog
from tests.simulation.fake_group_marks import FakeGroupMarks
from tests.simulation.fake_index import FakeJobIndex, FakeJobIndexReader, IndexTable
from tests.simulation.fake_leases import FakeLeaseStore, LockContainer
from tests.simulation.fake_openings import FakeJobOpenings
from tests.simulation.fake_rates import FakeRateStore, RateTable
from tests.simulation.fake_retention import FakeTrailRetention
from tests.simulation.fake_stores import (
    FakeDeadLetterStore,
    FakeEventFeed,
    FakeJobLogs,
    FakePayloadStore,
    FakeWorkerDirectory,
    LetterTable,
)
from tests.simulation.fake_trail import FakeAuditTrail, TrailTable
from tests.simulation.faults import Faults
from tests.simulation.journal import Journal
from tests.simulation.process import Process
from tests.simulation.scenario import Scenario
from tests.simulation.virtual_time import VirtualTime
from tests.simulation.wire import Wire


class Servers:
    """Storage and broker."""

    def __init__(
        self, *, scenario: Scenario, time: VirtualTime, faults: Faults, journal: Journal
    ) -> None:
        self.trail = TrailTable(time=time, journal=journal)
        self.locks = LockContainer(time=time)
        self.broker = Broker(
            time=time,
            faults=faults,
            seed=scenario.seed,
            counts_losses=scenario.counts_losses,
        )
        self.index = IndexTable()
        self.control = ControlExchange(faults=faults, seed=scenario.seed)
        self.control_log = ControlTable(journal=journal, time=time, is_moved=scenario.moved)
        self.move_faults: list[str] = []
        self.rates = RateTable()
        self.marks: dict[str, dict[str, str]] = {}
        self.dead_letters = LetterTable()
        self.workers: dict[str, WorkerStatus] = {}
        self.blobs: dict[str, bytes] = {}
        self.logs: dict[str, dict[int, bytes]] = {}
        self.removed_blobs: dict[str, bytes] = {}
        self._is_one_database = scenario.one_database
        self._time = time
        self._faults = faults
        self._journal = journal

    def is_sealed(self) -> bool:
        """Whether the fleet is sealed now."""
        newest = self.control_log.newest_first(ControlSubject.FLEET, SEAL)
        return Seal.of(newest[0] if newest else None) is not None

    def wire(self, process: Process) -> Wire:
        """Return the way of a process to the servers."""
        return Wire(process=process, time=self._time, faults=self._faults, journal=self._journal)

    def backend(self, process: Process) -> Backend:
        """Return all ports as one process uses them; what it never asks for is not there."""
        wire = self.wire(process)
        leases = FakeLeaseStore(container=self.locks, wire=wire)

        def renewal_leases() -> tuple[FakeLeaseStore, Any]:
            return FakeLeaseStore(container=self.locks, wire=wire.in_haste()), _nothing

        parts: dict[str, Any] = {
            "trail": FakeAuditTrail(table=self.trail, wire=wire),
            "leases": leases,
            "locks": leases,
            "queue": FakeJobQueue(broker=self.broker, wire=wire),
            "index": FakeJobIndex(table=self.index, wire=wire),
            "reader": FakeJobIndexReader(table=self.index, wire=wire),
            "directory": FakeWorkerDirectory(rows=self.workers, wire=wire),
            "control": FakeControlChannel(exchange=self.control, wire=wire),
            "control_log": FakeControlLog(table=self.control_log, wire=wire),
            "rates": FakeRateStore(table=self.rates, wire=wire),
            "marks": FakeGroupMarks(rows=self.marks, wire=wire),
            "feed": FakeEventFeed(),
            "payloads": FakePayloadStore(blobs=self.blobs, removed=self.removed_blobs, wire=wire),
            "logs": FakeJobLogs(logs=self.logs, wire=wire),
            "retention": FakeTrailRetention(trail=self.trail, index=self.index, wire=wire),
            "dead_letters": FakeDeadLetterStore(table=self.dead_letters, wire=wire),
        }
        openings = FakeJobOpenings(
            trail=self.trail, index=self.index, broker=self.broker, blobs=self.blobs, wire=wire
        )
        claims = FakeJobClaims(trail=self.trail, locks=self.locks, wire=wire)
        return Backend(
            openings=openings if self._is_one_database else None,
            claims=claims if self._is_one_database else None,
            limits=LIMITS,
            name="simulated",
            **cast("Any", parts),
            consumer=lambda: FakeJobConsumer(broker=self.broker, wire=wire),
            renewal_leases=renewal_leases,
            probe=_no_probes,
            close=_nothing,
        )


async def _nothing() -> None:
    """Nothing is to be closed."""


async def _no_probes() -> list[Any]:
    return []
