"""What one seed decides about a run before it begins."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Any

RETENTION_SHARE = 1 / 10
SCHEDULE_SHARE = 1 / 8
PAUSE_SHARE = 1 / 8
LACKING_SHARE = 1 / 8
STALE_SHARE = 1 / 8
IMPATIENT_SHARE = 1 / 8
KILLER_SHARE = 1 / 8
CROWD_SHARE = 1 / 8
"""Of the runs with a killer."""
SLOTS_SHARE = 1 / 6
RATE_SHARE = 1 / 8
ONCE_SHARE = 1 / 6
WORKER_SCOPE_SHARE = 1 / 2
MIXED_SHARE = 1 / 3
OWN_ERRORS_SHARE = 1 / 8
LIMITS_SHARE = 1 / 8
FULL_LIMIT_SHARE = 1 / 64
SKEW_SHARE = 1 / 8
CHAINS_SHARE = 1 / 8
MOVE_SHARE = 1 / 8
ERASURE_SHARE = 1 / 8
GROUPS_SHARE = 1 / 8
PROCESSES_SHARE = 1 / 8
CORE_SHARE = 1 / 8
ONE_DATABASE_SHARE = 1 / 4
OTHER_BODIES_SHARE = 1 / 16
DEADLY_SHARE = 1 / 32
COUNTED_SHARE = 3 / 4
"""Of the runs with a deadly message."""
IN_PAUSE_SHARE = EAGER_SHARE = 1 / 4
"""Likewise."""
_FAULT_RATES = (0.0, 0.01, 0.04, 0.04, 0.1, 0.1, 0.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Size of the fleet, its settings, and how often it meets faults.

    Attributes:
        fault_seconds: after so long the world heals, and the run goes on until it is quiet.
        fault_rate: share of port calls that meet a fault.
        crash_rate, stall_rate: share of port calls at which the caller vanishes or stands still.
        operator_action_seconds: mean time between two blows to a whole process or server.
        clock_steps: wall clocks of machines are set by up to ten minutes.
        retention_seconds: histories that ended so long ago are removed; ``None``: never. Longer
            than any sleep, as its days are in life; then the faults last until it has been at work.
        lacking: so many workers lack the type of the jobs, as old ones do in a rolling update.
        killers: so many jobs take their worker with them whenever they run.
        crowded: the queue is never empty while jobs of other kinds are open.
        weights: how often each kind of fault comes, among the faults.
        schedules: a schedule ticks, and operators pause, change and run it.
        pauses: operators pause and resume queue and type of the jobs.
        stale_connections: a process that stood still finds its connection to the broker closed, and
            needs up to half a minute for a new one.
        impatient: share of the callers who ask once: whatever the answer, they do not ask again.
        worker_scope: share of the worker processes that lease one lock for all their jobs; drawn at
            each start, as in a rolling update. In the others each job has a lock of its own.
        own_errors: share of the claims and endings after which a worker meets an error of its own.
        lock_slots: so many jobs of a lock key may run at once; a few jobs name another number.
        rate: of the jobs' type.
        once: share of the jobs that must not start again after their worker was lost.
        limits: jobs name one or two limits, whose slots operators change.
        full_limit: jobs of the third party count against a limit that is full for half an hour.
        old_workers: so many workers run this release, and the others an invented next one, until an
            update in the midst of the faults.
        chains: share of the jobs that others follow.
        moved: an operator seals the fleet, copies it, and gives the move up.
        erasures: share of the jobs whose values a client wants to be erased.
        groups: so many groups, each of up to eight members in blocks of three.
        group_cancels: share of the groups whose first failure cancels the others, or that somebody
            cancels.
        left_behind: share of the cancelled groups one member of which comes late, by a caller that
            dies before it cancels it.
        nested_groups: share of the groups that hold another one.
        member_erasures: share of the members whose values a client wants to be erased.
        processes: so many processes has each worker, of which a job needs one; ``None``: jobs need
            none.
        core_only: the world heals for one worker; each other one stays broken for good.
        other_bodies: share of the idempotency keys that others use too: for another body, and for
            the same one, made at another time.
        one_database: a submit writes open row, event 1 and message in one transaction, and a claim
            its lease and ``Started``.
        deadly: so many jobs end nearly each worker that takes their message, before any claim.
        counts_losses: the broker is a database, which counts the workers that a message costs.
        eager_redrives: the deadly jobs are submitted twice, and redriven once they have failed.
        deadly_in_pause: operators pause the queue, and let the deadly jobs run once all the same.
    """

    seed: int
    workers: int
    apis: int
    fleet_scope: bool
    lease_seconds: float
    rescue_seconds: float
    defer_seconds: float
    drain_seconds: float
    grace_seconds: float
    concurrency: int
    jobs: int
    lock_keys: int
    fault_seconds: float
    fault_rate: float
    crash_rate: float
    stall_rate: float
    operator_action_seconds: float
    clock_steps: bool
    retention_seconds: float | None
    weights: dict[str, float]
    schedules: bool = False
    pauses: bool = False
    lacking: int = 0
    stale_connections: bool = False
    impatient: float = 0.0
    killers: int = 0
    crowded: bool = False
    lock_slots: int = 1
    rate: str | None = None
    once: float = 0.0
    worker_scope: float = 0.0
    own_errors: float = 0.0
    limits: bool = False
    full_limit: bool = False
    old_workers: int = 0
    chains: float = 0.0
    moved: bool = False
    erasures: float = 0.0
    groups: int = 0
    group_cancels: float = 0.0
    left_behind: float = 0.0
    nested_groups: float = 0.0
    member_erasures: float = 0.0
    processes: int | None = None
    core_only: bool = False
    other_bodies: float = 0.0
    one_database: bool = False
    deadly: int = 0
    counts_losses: bool = False
    deadly_in_pause: bool = False
    eager_redrives: bool = False

    @classmethod
    def of(cls, seed: int) -> Scenario:
        """Draw everything from the seed."""
        dice = Random(f"scenario/{seed}")
        rough = dice.choice(_FAULT_RATES)
        scenario = cls(
            seed=seed,
            workers=dice.choice((2, 2, 3, 3, 4)),
            apis=dice.choice((1, 2)),
            fleet_scope=dice.random() < 0.12,
            lease_seconds=dice.choice((15, 15, 15, 20, 30, 60)),
            rescue_seconds=dice.choice((5, 5, 8, 10)),
            defer_seconds=dice.choice((1, 2, 5, 10)),
            drain_seconds=dice.choice((1, 5, 30)),
            grace_seconds=dice.choice((1, 3, 5)),
            concurrency=dice.choice((1, 2, 2, 4)),
            jobs=dice.randint(2, 7),
            lock_keys=dice.choice((1, 1, 2)),
            fault_seconds=dice.uniform(30, 150),
            fault_rate=rough,
            crash_rate=rough * dice.choice((0, 0, 0.02, 0.1)),
            stall_rate=dice.choice((0, 0, 0.005, 0.01, 0.03)) if rough else 0,
            operator_action_seconds=dice.choice((15, 30, 60)) if rough else 1e9,
            clock_steps=dice.random() < 0.1,
            retention_seconds=None,
            weights=_weights(dice),
        )
        lacking = scenario.workers - 1 if Random(f"lacking/{seed}").random() < LACKING_SHARE else 0
        stale = Random(f"connections/{seed}").random() < STALE_SHARE
        impatient = 0.5 if Random(f"impatience/{seed}").random() < IMPATIENT_SHARE else 0.0
        killers = int(Random(f"killers/{seed}").random() < KILLER_SHARE)
        scenario = replace(scenario, lacking=lacking, killers=killers)
        scenario = replace(scenario, stale_connections=stale, impatient=impatient)
        scenario = scenario._with_retention(Random(f"retention/{seed}"))
        with_schedule = Random(f"schedules/{seed}").random() < SCHEDULE_SHARE
        slots = Random(f"slots/{seed}")
        rates = Random(f"rates/{seed}")
        rate = rates.choice(("6/minute", "20/minute", "1/second"))
        with_rate = rates.random() < RATE_SHARE and not scenario.clock_steps
        deadly = Random(f"deadly/{seed}")
        is_deadly = deadly.random() < DEADLY_SHARE
        in_pause = is_deadly and Random(f"deadly in pause/{seed}").random() < IN_PAUSE_SHARE
        with_pauses = in_pause or Random(f"with pauses/{seed}").random() < PAUSE_SHARE
        return replace(
            scenario,
            schedules=with_schedule and not scenario.clock_steps,
            lock_slots=slots.choice((2, 2, 3)) if slots.random() < SLOTS_SHARE else 1,
            pauses=with_pauses and not scenario.clock_steps,
            crowded=bool(killers) and Random(f"crowd/{seed}").random() < CROWD_SHARE,
            rate=rate if with_rate else None,
            once=0.5 if Random(f"once/{seed}").random() < ONCE_SHARE else 0.0,
            worker_scope=_worker_scope(Random(f"scope/{seed}")),
            own_errors=0.1 if Random(f"own errors/{seed}").random() < OWN_ERRORS_SHARE else 0.0,
            limits=not scenario.clock_steps and Random(f"limits/{seed}").random() < LIMITS_SHARE,
            full_limit=not scenario.clock_steps
            and Random(f"with full limit/{seed}").random() < FULL_LIMIT_SHARE,
            erasures=0.4
            if not scenario.clock_steps and Random(f"erasures/{seed}").random() < ERASURE_SHARE
            else 0.0,
            old_workers=_old_workers(Random(f"skew/{seed}"), scenario.workers),
            processes=_processes(Random(f"processes/{seed}"), scenario),
            chains=0.5 if Random(f"chains/{seed}").random() < CHAINS_SHARE else 0.0,
            moved=Random(f"mover/{seed}").random() < MOVE_SHARE,
            groups=int(Random(f"groups/{seed}").random() < GROUPS_SHARE),
            group_cancels=0.5,
            left_behind=0.3 if scenario.retention_seconds is None else 0.0,
            nested_groups=0.3,
            member_erasures=0.0 if scenario.clock_steps else 0.1,
            core_only=Random(f"core/{seed}").random() < CORE_SHARE,
            other_bodies=float(Random(f"keys used twice/{seed}").random() < OTHER_BODIES_SHARE),
            one_database=Random(f"one database/{seed}").random() < ONE_DATABASE_SHARE,
            deadly=int(is_deadly),
            counts_losses=is_deadly and deadly.random() < COUNTED_SHARE,
            eager_redrives=Random(f"eager redrives/{seed}").random() < EAGER_SHARE,
            deadly_in_pause=in_pause and not scenario.clock_steps,
        )

    def _with_retention(self, dice: Random) -> Scenario:
        """Let one run in ten remove histories, while faults go on."""
        if self.clock_steps or dice.random() >= RETENTION_SHARE:
            return self
        seconds = self.lease_seconds * dice.choice((8, 12)) + 60
        return replace(
            self,
            retention_seconds=seconds,
            fault_seconds=self.fault_seconds + seconds * dice.choice((1, 1.5)),
        )

    @property
    def erasure_seconds(self) -> float:
        """How long values stand after ``Erased``: longer than any sleep, as an hour is in life."""
        return self.lease_seconds * 8 + 60

    def describe(self) -> dict[str, Any]:
        """Return the fields, for a replay's first line."""
        return {name: getattr(self, name) for name in self.__slots__}


def _worker_scope(dice: Random) -> float:
    if dice.random() >= WORKER_SCOPE_SHARE:
        return 0.0
    return 0.5 if dice.random() < MIXED_SHARE else 1.0


def _old_workers(dice: Random, workers: int) -> int:
    return dice.randint(1, workers) if dice.random() < SKEW_SHARE else 0


def _processes(dice: Random, scenario: Scenario) -> int | None:
    if scenario.concurrency == 1 or dice.random() >= PROCESSES_SHARE:
        return None
    return dice.randint(1, scenario.concurrency - 1)


def _weights(dice: Random) -> dict[str, float]:
    kinds = ("lost before", "lost after", "late", "twice", "twice late", "slow")
    return {kind: dice.choice((0.2, 1, 1, 3)) for kind in kinds}
