"""Sees each run of a handler from outside, and knows who is trusted with what."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from jobfleet_contracts.event import Event
from jobfleet_contracts.lease import limit_of
from jobfleet_contracts.state import State, Status
from jobfleet_protocol.claiming.decision import SUSPECT_TAKEOVERS
from tests.simulation.journal import Journal
from tests.simulation.process import Process

JUST_AWAKE_SECONDS = 0.5


@dataclass(slots=True, eq=False)
class Run:
    """One run of a handler."""

    process: Process
    job_id: str
    epoch: int
    lock: str
    slots: frozenset[str]
    began: float
    is_suspect: bool

    def is_trusted(self) -> bool:
        """Whether its process is awake, runs it under a lease, and trusts that lease."""
        return _trusts(self.process, self.job_id, self.epoch)

    def kept_slots(self) -> frozenset[str]:
        """Return the slots that it holds still.

        Who has come to wait for a third party gives its slots up, and its handler still ends.
        """
        return self.slots & _slots(self.process, self.job_id)


def _trusts(process: Process, job_id: str, epoch: int) -> bool:
    if process.worker is None or not process.is_awake:
        return False
    run = process.worker.executor.running.get(job_id)
    if run is None or run.trail.epoch != epoch:
        return False
    kept, held = run.lease.kept, run.held_lock_slots
    if kept.lost_reason is not None or held.lost_reason() is not None:
        return False
    return process.clock.boottime() < min(kept.trusted_until, held.trusted_until())


def _slots(process: Process, job_id: str) -> frozenset[str]:
    """Return the slots of limits that a run holds beside its lock."""
    run = process.worker.executor.running.get(job_id) if process.worker is not None else None
    return frozenset(each.lock for each in run.trail.head.after.locks) if run else frozenset()


def _is_suspect(process: Process, job_id: str) -> bool:
    run = process.worker.executor.running.get(job_id) if process.worker is not None else None
    return run is not None and run.trail.head.after.takeovers >= SUSPECT_TAKEOVERS


class Witness:
    """Collects runs, and looks at each takeover as it is written.

    Attributes:
        runs: how many there were.
        overlaps: runs beside another one under the same lock, explained by a pause or lost trust.
        takeovers: of running attempts.
        starts: when handlers of jobs began, with their jobs; without those whose process stood
            still in that moment, between its last look at the clock and the first line.
        fields_seen: job id and new field of each run, in a fleet of two releases.
        bodies_seen: job id of each run, and whether its body was that of a rival of its key.
        keys_seen: idempotency keys that handlers passed on to others.
        crowds: how many trusted runs a limit had when one began; see ``limit_judgement``.
        faults: runs beside another one under the same lock, both trusted; a suspect's run beside
            another one in its worker; takeovers from a live worker that trusts its lease; claims
            under a lock that is not leased.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        lock_of: Callable[[str], str],
        process_of: Callable[[str | None], Process | None],
        is_leased: Callable[[str], bool],
    ) -> None:
        self.runs = 0
        self.begun: set[tuple[str, int]] = set()
        self.overlaps = 0
        self.takeovers = 0
        self.starts: list[tuple[float, str]] = []
        self.fields_seen: list[tuple[str, str | None]] = []
        self.bodies_seen: list[tuple[str, bool]] = []
        self.keys_seen: set[str] = set()
        self.crowds: list[tuple[float, float, str, int]] = []
        self.faults: list[str] = []
        self._journal = journal
        self._lock_of = lock_of
        self._process_of = process_of
        self._is_leased = is_leased
        self._live: list[Run] = []

    @contextmanager
    def watch(self, process: Process, job_id: str, epoch: int) -> Iterator[None]:
        """Watch one run from its begin to its end; a crash ends it too."""
        run = Run(
            process,
            job_id,
            epoch,
            self._lock_of(job_id),
            _slots(process, job_id),
            process.time.now,
            _is_suspect(process, job_id),
        )
        self._journal.note(process.name, "handler.begins", job_id[-4:], f"epoch={epoch}")
        self._compare(run)
        self._live.append(run)
        self.begun.add((job_id, epoch))
        self._count(run)
        self.runs += 1
        try:
            yield
        finally:
            if process.is_alive:
                self._journal.note(process.name, "handler.ends", job_id[-4:], f"epoch={epoch}")
            if run in self._live:
                self._live.remove(run)

    def _count(self, run: Run) -> None:
        """Note how many trusted runs hold a slot of each limit of this run."""
        for name in {limit_of(lock) for lock in run.slots}:
            beside = [
                other
                for other in self._live
                if other.is_trusted() and any(limit_of(lock) == name for lock in other.kept_slots())
            ]
            if name is not None and beside:
                since = min(other.began for other in beside)
                self.crowds.append((run.process.time.now, since, name, len(beside)))

    def started(self, process: Process, job_id: str) -> None:
        """Note when a handler began, which a rate counts."""
        if process.time.now - process.loop.frozen_until > JUST_AWAKE_SECONDS:
            self.starts.append((process.time.now, job_id))

    def killed(self, process: Process, killer: str) -> None:
        """Look who runs beside a job that takes its worker with it: no suspect, or it is blamed."""
        self._journal.note(process.name, "handler.kills", killer[-4:])
        for run in self._live:
            if run.process is process and run.job_id != killer and run.is_suspect:
                self.faults.append(f"job {run.job_id} is blamed for a worker that {killer} killed")

    def see_claim(self, sent: Sequence[Event]) -> None:
        """Look at a claim as it is sent for the first time: its lock must be leased just then."""
        for event in sent:
            lock = event.after.lock
            if event.kind is Status.STARTED and lock and not self._is_leased(lock):
                self.faults.append(
                    f"job {event.job_id} is claimed by {event.worker_id} under lock {lock}, which "
                    "is not leased"
                )

    def see(self, newest: Event, written: Sequence[Event]) -> None:
        """Look at what is written after a job's newest event."""
        if written[0].kind is not Status.TAKEN_OVER or newest.after.state is not State.RUNNING:
            return
        self.takeovers += 1
        holder = self._process_of(newest.after.worker_id)
        if holder is not None and _trusts(holder, newest.job_id, newest.after.epoch):
            self.faults.append(
                f"job {newest.job_id} epoch {newest.after.epoch} was taken from {holder.name}, "
                f"which lives and trusts its lease, by {written[0].worker_id}"
            )

    def _compare(self, run: Run) -> None:
        self._live = [other for other in self._live if other.process.is_alive]
        for other in self._live:
            if other.process is run.process and (other.is_suspect or run.is_suspect):
                self.faults.append(
                    f"job {run.job_id} beside job {other.job_id} on {run.process.name}, though one "
                    "of them is a suspect"
                )
            if other.lock != run.lock and not other.kept_slots() & run.slots:
                continue
            if run.is_trusted() and other.is_trusted():
                self.faults.append(
                    f"job {run.job_id} epoch {run.epoch} on {run.process.name} beside job "
                    f"{other.job_id} epoch {other.epoch} on {other.process.name}, both trusted"
                )
            else:
                self.overlaps += 1
