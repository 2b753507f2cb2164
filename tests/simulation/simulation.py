"""One run: a fleet under faults, then calm until all is quiet, then judgement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from math import inf
from random import Random
from typing import Any
from unittest.mock import patch

from jobfleet_contracts.control import ControlSubject
from jobfleet_contracts.event import Event
from jobfleet_contracts.lease import FLEET_LOCK, is_worker_lock, job_lock, key_lock
from jobfleet_contracts.rate import Rate
from jobfleet_protocol.actions import group_counts
from jobfleet_protocol.audit.heads import Head
from jobfleet_protocol.trail.tombstone import is_seal
from tests.simulation.client_calls import ClientCalls
from tests.simulation.copy_judgement import SETTLED_SECONDS, copy_faults
from tests.simulation.crowd import Crowd
from tests.simulation.deadly_judgement import unstartable_faults
from tests.simulation.deadly_messages import DeadlyMessages, deadly_wishes
from tests.simulation.faults import LATEST_SECONDS, Breakage, Faults
from tests.simulation.fleet import Fleet
from tests.simulation.full_limit import FullLimit
from tests.simulation.group_wishes import BLOCK, group_wishes
from tests.simulation.invented_release import skew_faults
from tests.simulation.journal import Journal
from tests.simulation.judgement import Judgement
from tests.simulation.key_judgement import effect_faults, key_faults
from tests.simulation.left_alone import is_left_alone
from tests.simulation.limit_judgement import limit_faults, slot_faults
from tests.simulation.limit_wishes import limit_wishes
from tests.simulation.move_wishes import move_wishes
from tests.simulation.operator_actions import OperatorActions
from tests.simulation.pause_wishes import pause_wishes
from tests.simulation.process import Process
from tests.simulation.rate_judgement import rate_faults
from tests.simulation.removal import is_removed
from tests.simulation.repeatable import repeatable, short_patience
from tests.simulation.scenario import Scenario
from tests.simulation.schedule_wishes import schedule_wishes
from tests.simulation.servers import Servers
from tests.simulation.third_party import ThirdParty
from tests.simulation.virtual_time import VirtualTime
from tests.simulation.witness import Witness
from tests.simulation.workload import WAITING, Workload

PATIENCE_SECONDS = 4 * 3600.0
"""After the world has healed, or one more job has ended; the slowest way back is a rescuer's
longest pause, several times."""
LONGEST_SECONDS = 2 * PATIENCE_SECONDS
"""After the world has healed, whatever still ends."""

MOST_STEPS = 600_000
"""After one more job has ended: a crowd of jobs that end one by one takes many more."""
CHECK_SECONDS = 3.0
DRAIN_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a run showed.

    Attributes:
        faults: what is wrong; empty in a good run.
        overlaps: two handlers beside each other, explained by a pause or lost trust.
        fates: how many requests had which kind of fate; ``ok`` is no fault.
    """

    seed: int
    faults: list[str]
    jobs: int
    events: int
    runs: int
    overlaps: int
    takeovers: int
    seconds: float
    steps: int
    fates: Mapping[str, int]


class Simulation:
    """Everything of one seed.

    Args:
        talkative: keep all log lines of the code under test, for a replay.
        emphasis: fields of the scenario that are not left to the seed.
    """

    def __init__(
        self, *, seed: int, talkative: bool = False, emphasis: Mapping[str, Any] | None = None
    ) -> None:
        self.scenario = scenario = replace(Scenario.of(seed), **(emphasis or {}))
        self.time = VirtualTime()
        self.journal = Journal(time=self.time)
        self.faults = Faults(scenario=scenario, time=self.time)
        self.servers = Servers(
            scenario=scenario, time=self.time, faults=self.faults, journal=self.journal
        )
        self.witness = Witness(
            journal=self.journal,
            lock_of=self._lock_of,
            process_of=self._process_of,
            is_leased=self.servers.locks.is_leased,
        )
        self.servers.trail.on_insert = self.witness.see
        self.servers.trail.on_send = self.witness.see_claim
        self.fleet = Fleet(
            scenario=scenario,
            time=self.time,
            servers=self.servers,
            witness=self.witness,
            journal=self.journal,
        )
        self.operator_actions = OperatorActions(
            scenario=scenario,
            time=self.time,
            faults=self.faults,
            servers=self.servers,
            fleet=self.fleet,
            journal=self.journal,
        )
        self.client_calls = ClientCalls(
            scenario=scenario,
            time=self.time,
            fleet=self.fleet,
            servers=self.servers,
            journal=self.journal,
            begun=self.witness.begun,
        )
        self.third_party = ThirdParty(
            scenario=scenario, time=self.time, fleet=self.fleet, journal=self.journal
        )
        self.fleet.ask = self.third_party.ask
        self.crowd = Crowd(
            scenario=scenario,
            time=self.time,
            fleet=self.fleet,
            client_calls=self.client_calls,
            open_jobs=self._open_jobs,
        )
        self.deadly = DeadlyMessages(scenario=scenario, servers=self.servers, witness=self.witness)
        if scenario.deadly:
            self.fleet.deadly_key = self.deadly.key_of
        self.full_limit = FullLimit(scenario=scenario, time=self.time, servers=self.servers)
        self._talkative = talkative
        self._heads: list[Head] = []
        self._copies: Counter[str] = Counter()
        self._restless_for: str | None = "the end of the faults"
        self._ended = 0
        self._patience_ends = scenario.fault_seconds + PATIENCE_SECONDS
        self._rests_at = inf
        self._ends_at = self._patience_ends
        self._last_step = MOST_STEPS

    def run(self) -> Verdict:
        """Run to the end and judge."""
        patience = nullcontext() if self.scenario.clock_steps else short_patience()
        with (
            patience,
            patch.object(group_counts, "BLOCK", BLOCK),
            repeatable(self.scenario.seed, self.journal, talkative=self._talkative) as errors,
        ):
            try:
                self.fleet.start()
                self.operator_actions.begin()
                self.client_calls.begin(
                    [
                        *Workload(scenario=self.scenario).wishes,
                        *schedule_wishes(self.scenario),
                        *pause_wishes(self.scenario),
                        *limit_wishes(self.scenario),
                        *self.full_limit.wishes(),
                        *move_wishes(self.scenario),
                        *group_wishes(self.scenario),
                        *deadly_wishes(self.scenario),
                    ]
                )
                self.crowd.begin()
                self.full_limit.begin()
                self.time.after(self.scenario.fault_seconds, self._heal)
                rested = self._run_until_quiet()
                self.full_limit.end()
                faults = [] if rested else [self._restlessness()]
                faults += self._judge()
                faults += self._drain() if rested else []
                faults += [*errors, *self.fleet.deaths, *self.fleet.problems()]
            finally:
                self.time.leave()
                self.fleet.throw_away()
                self.time.leave()
        return self._verdict(faults)

    def take_apart(self) -> None:
        """Drop what it holds, once it is judged: it is freed at once, without a collection."""
        parts = (self.time, self.journal, self.witness, self.fleet, self)
        stores = (self.servers.trail, self.servers.index, self.servers.broker)
        for part in (*self.fleet.all, *stores, *parts):
            vars(part).clear()

    def _lock_of(self, job_id: str) -> str:
        """Return what a run of the job rests on; who waits, and only sends, on its own lock."""
        rows = self.servers.trail.jobs[job_id]
        facts = rows[1].facts
        if facts.job_name == WAITING:
            return job_lock(job_id)
        if self.scenario.fleet_scope:
            return FLEET_LOCK
        if facts.lock_slots > 1:  # the slot that its claim names
            return rows[max(rows)].after.lock or job_lock(job_id)
        return job_lock(job_id) if facts.lock_key is None else key_lock(facts.lock_key)

    def _open_jobs(self) -> list[str]:
        """Return the names of the jobs that have not ended, or are still to be submitted."""
        trails = self.servers.trail.jobs.values()
        heads = [rows[max(rows)] for rows in trails]
        begun = [h.facts.job_name for h in heads if not h.after.state.is_terminal]
        calls = [call.wish.request for call in self.client_calls.all if not call.is_done]
        return begun + [request.job_name for request in calls if request is not None]

    def _process_of(self, worker_id: str | None) -> Process | None:
        place = (worker_id or "").partition(".")[0]
        process = self.fleet.workers.get(place)
        return process if process is not None and process.name == worker_id else None

    def _heal(self) -> None:
        self.journal.note("world", "heals")
        broken = self._broken()
        self.faults.calm(broken)
        self.fleet.break_for_good(broken)
        trail = self.servers.trail
        self._heads = [Head.of(trail.history(job_id)) for job_id in sorted(trail.jobs)]
        self._check()

    def _broken(self) -> dict[str, Breakage]:
        """Draw what stays broken at every worker but the last, which has all handlers."""
        if not self.scenario.core_only or self.scenario.old_workers or self.scenario.moved:
            return {}
        dice = Random(f"broken/{self.scenario.seed}")
        *others, _ = self.fleet.workers
        return {place: dice.choice(list(Breakage)) for place in others}

    def _check(self) -> None:
        if self.time.now >= self.scenario.fault_seconds + SETTLED_SECONDS:
            self._copies |= self.servers.broker.copies()
        self._have_patience()
        unrest = next(self._unrest(), None)
        if unrest != self._restless_for:
            self._restless_for = unrest
            self.journal.note("world", "waits for", unrest or "nothing more")
            self._rests_at = self._rest_begun_now() if unrest is None else inf
        last = self.scenario.fault_seconds + LONGEST_SECONDS
        self._ends_at = min(self._patience_ends, last, self._rests_at)
        self.time.after(CHECK_SECONDS, self._check)

    def _rest_begun_now(self) -> float:
        """Return when quiet has lasted so long that no late write or lease can show any more."""
        return self.time.now + self.scenario.lease_seconds + LATEST_SECONDS + 1

    def _have_patience(self) -> None:
        """Begin the patience anew when more jobs have ended than ever before."""
        trails = self.servers.trail.jobs.values()
        ended = sum(rows[max(rows)].after.state.is_terminal for rows in trails)
        if ended > self._ended:
            self._ended = ended
            self._patience_ends = self.time.now + PATIENCE_SECONDS
            self._last_step = self.time.steps + MOST_STEPS

    def _unrest(self) -> Iterator[str]:
        """Yield what the run still waits for."""
        for process in self.fleet.processes():
            if not process.is_awake and process.name.partition(".")[0] not in self.faults.broken:
                yield f"process {process.name}"
        for call in self.client_calls.all:
            if not call.is_done:
                yield f"call {call.wish.tag}"
        for posting in self.third_party.postings:
            if not posting.is_done:
                yield f"callback of {posting.job_id}"
        yield from self._unrest_of_schedules()
        for job_id, rows in self.servers.trail.jobs.items():
            ended = rows[max(rows)].after.state.is_terminal
            if not ended and not is_left_alone(self.servers, job_id):
                yield f"job {job_id}"
            if self.scenario.retention_seconds is not None and self._will_be_removed(job_id, rows):
                yield f"history of {job_id}"
        for row in self.servers.index.open_rows():
            yield f"open row {row.facts.job_id}/{row.incarnation}"
        if self.servers.broker.left():
            yield "messages"

    def _unrest_of_schedules(self) -> Iterator[str]:
        for (subject, name), log in self.servers.control_log.logs.items():
            if subject is ControlSubject.SCHEDULE and not log[max(log)].state["removed"]:
                yield f"schedule {name}"

    def _restlessness(self) -> str:
        return f"not at rest after {self.time.now:.0f} s, waiting for {self._restless_for}"

    def _will_be_removed(self, job_id: str, rows: Mapping[int, Event]) -> bool:
        """The index may have lost an ending with its process: that history stays."""
        return not is_removed(rows) and (is_seal(rows[max(rows)]) or self._is_listed(job_id))

    def _is_listed(self, job_id: str) -> bool:
        timeline = self.servers.index.timeline
        return any(
            place[0] == job_id and event.after.state.is_terminal
            for place, event in timeline.items()
        )

    def _run_until_quiet(self) -> bool:
        self.time.run_until(
            lambda: self.time.now >= self._ends_at or self.time.steps >= self._last_step
        )
        return self.time.now >= self._rests_at

    def _judge(self) -> list[str]:
        judgement = Judgement(
            servers=self.servers,
            client_calls=self.client_calls.all,
            postings=self.third_party.postings,
            retention_seconds=self.scenario.retention_seconds,
            heads=self._heads,
            worker_locks=self.fleet.worker_locks(),
            healed_at=self.scenario.fault_seconds,
        )
        rate = None if self.scenario.rate is None else Rate(self.scenario.rate)
        trail = self.servers.trail
        trails = {job_id: trail.complete(job_id) for job_id in trail.jobs}
        return [
            *self.witness.faults,
            *self.crowd.faults,
            *self.deadly.faults,
            *unstartable_faults(self.servers),
            *self.servers.move_faults,
            *rate_faults(rate, self.witness.starts),
            *self._skew_faults(trails),
            *key_faults(self.client_calls.all, self.client_calls.made, trails),
            *effect_faults(self.witness, trails),
            # A worker that keeps its messages for a while lets the rescuer send more of them.
            *([] if self.faults.broken else copy_faults(self._copies, self.scenario.workers)),
            *slot_faults(self.servers.trail.written),
            *self.full_limit.faults(self.servers.trail.written),
            *limit_faults(
                self.servers.control_log.landed,
                self.witness.crowds,
                trails,
            ),
            *judgement.faults(),
        ]

    def _skew_faults(self, trails: Mapping[str, Sequence[Event]]) -> Iterator[str]:
        if not self.scenario.old_workers:
            return iter(())
        return skew_faults(trails, self.servers.trail.writers, self.witness.fields_seen)

    def _drain(self) -> list[str]:
        """Workers that are told to stop do so, and write nothing more."""
        before = len(self.servers.trail.written)
        self.fleet.stop_workers()
        limit = self.time.now + DRAIN_SECONDS
        broken = self.faults.broken
        workers = [worker for place, worker in self.fleet.workers.items() if place not in broken]
        self.time.run_until(
            lambda: self.time.now >= limit or not any(process.is_alive for process in workers)
        )
        faults = [f"{p.name} did not stop" for p in workers if p.is_alive]
        if not broken and (
            left := [lock for lock in self.servers.locks.leased() if is_worker_lock(lock)]
        ):
            faults.append(f"workers that stopped left their locks leased: {left}")
        if len(self.servers.trail.written) != before:
            faults.append("a worker wrote an event after all had ended")
        return faults

    def _verdict(self, faults: list[str]) -> Verdict:
        return Verdict(
            seed=self.scenario.seed,
            faults=faults,
            jobs=len(self.servers.trail.jobs),
            events=len(self.servers.trail.written),
            runs=self.witness.runs,
            overlaps=self.witness.overlaps,
            takeovers=self.witness.takeovers,
            seconds=self.time.now,
            steps=self.time.steps,
            fates=self.faults.met,
        )
