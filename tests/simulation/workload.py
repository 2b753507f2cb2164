"""Which jobs a run has, and what people do to them: drawn by seed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

from jobfleet_contracts.job import JobRequest, Then
from jobfleet_contracts.job_id import job_id_for_key
from jobfleet_contracts.schedule import Schedule
from tests.simulation.limit_names import limits_of_job
from tests.simulation.process import BEGIN
from tests.simulation.scenario import Scenario
from tests.simulation.sim_handlers import JOB_TYPE, RIVAL

WAITING = "waiting"
KILLER = "killer"
KINDS = (
    "plain",
    "plain",
    "key",
    "key",
    "failing",
    "hopeless",
    "deferring",
    "slow",
    "blocking",
    WAITING,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Something that a client wants of the fleet.

    Attributes:
        at: seconds after the beginning.
        verb: ``submit``, ``foreign``, ``malformed``, ``cancel``, ``redrive``, ``dismiss`` or
            ``erase``; of a schedule ``declare``, ``change``, ``deploy``, ``pause``, ``resume``,
            ``run`` or ``unschedule``; ``group``, ``leave`` or ``free`` of a group.
        members: of a group; ``nested``: of a group that is a member behind them; ``left``: the last
            one, which another caller submits after the seal.
        key: idempotency key of a submit.
        tag: names the wish in the trail.
    """

    at: float
    verb: str
    tag: str
    request: JobRequest | None = None
    job_id: str = ""
    key: str | None = None
    schedule: Schedule | None = None
    members: tuple[JobRequest, ...] = ()
    nested: tuple[JobRequest, ...] = ()
    left: JobRequest | None = None

    @property
    def total(self) -> int:
        """How many members its group has."""
        return len(self.members) + bool(self.nested) + (self.left is not None)


class Workload:
    """Draws all wishes of a run.

    Attributes:
        wishes: in the order of time.
    """

    def __init__(self, *, scenario: Scenario) -> None:
        self._scenario = scenario
        self._dice = Random(f"workload/{scenario.seed}")
        self._once_dice = Random(f"once jobs/{scenario.seed}")
        self._slots_dice = Random(f"lock slots/{scenario.seed}")
        self._erasure_dice = Random(f"erased jobs/{scenario.seed}")
        self._skew_dice = Random(f"new field/{scenario.seed}")
        self._chains_dice = Random(f"chained jobs/{scenario.seed}")
        self._bodies_dice = Random(f"bodies of a key/{scenario.seed}")
        self._number = 0
        self._keys = [f"key-{n}" for n in range(scenario.lock_keys)]
        self._only_keys = self._dice.random() < 0.3
        wishes: list[Wish] = []
        for _ in range(scenario.jobs):
            wishes += self._job()
        for _ in range(scenario.killers):
            wishes += self._job(KILLER)
        self.wishes = sorted(wishes, key=lambda wish: wish.at)

    def _job(self, kind: str | None = None) -> list[Wish]:
        dice, span = self._dice, self._scenario.fault_seconds
        at = dice.uniform(0, span * 0.6)
        self._number += 1
        key = f"idempotent-{self._number}" if dice.random() < 0.25 else None
        job_id = str(UUID(int=(0x7 << 76) | (0x3 << 62) | self._number))
        if key is not None:
            job_id = job_id_for_key(key)
        request = self._request(job_id, at, kind)
        verb = "foreign" if key is None and dice.random() < 0.15 else "submit"
        if self._scenario.old_workers and verb == "submit" and self._skew_dice.random() < 0.5:
            fields = request.model_dump(exclude_unset=True)
            request = JobRequest(**fields, input_file_path=f"{job_id}.csv")
        wishes = [self._wish(at, verb, request=request, job_id=job_id, key=key)]
        if verb == "submit" and dice.random() < 0.3:
            again = at + dice.choice((0, 0.01, 1, 20))
            wishes.append(self._wish(again, verb, request=request, job_id=job_id, key=key))
        retention = self._scenario.retention_seconds
        if verb == "submit" and retention is not None and dice.random() < 0.5:
            again = at + retention * dice.uniform(0.9, 1.6)
            wishes.append(self._wish(again, verb, request=request, job_id=job_id, key=key))
            wishes.append(self._wish(again, "redrive", job_id=job_id))
        if self._erasure_dice.random() < self._scenario.erasures:
            later = at + self._erasure_dice.uniform(1, self._scenario.fault_seconds)
            wishes.append(self._wish(later, "erase", job_id=job_id))
            if self._erasure_dice.random() < 0.5:
                after = later + self._erasure_dice.choice((0, 0.01, 30))
                wishes.append(self._wish(after, "redrive", job_id=job_id))
        if key is not None and self._bodies_dice.random() < self._scenario.other_bodies:
            wishes += self._rivals(at, request, key)
        if dice.random() < 0.05:
            wishes.append(self._wish(at, "malformed"))
        return wishes + self._actions(job_id, at)

    def _rivals(self, at: float, request: JobRequest, key: str) -> list[Wish]:
        """Let others use the key: for another body, and for the same one, made at another time."""
        dice, job_id = self._bodies_dice, request.job_id
        first, second = (max(0.0, at + dice.choice((-0.5, 0, 0.01, 1, 20))) for _ in range(2))
        other = request.model_copy(update={"payload": request.payload | {RIVAL: True}})
        later = BEGIN + timedelta(seconds=second)
        again = request.model_copy(update={"created_at": later})
        return [
            self._wish(first, "submit", request=other, job_id=job_id, key=key),
            self._wish(second, "submit", request=again, job_id=job_id, key=key),
        ]

    def _actions(self, job_id: str, at: float) -> list[Wish]:
        dice, span = self._dice, self._scenario.fault_seconds
        actions: list[Wish] = []
        if dice.random() < 0.25:
            when = at + dice.choice((0.05, 1, 5, 20, 60)) * dice.random()
            actions.append(self._wish(when, "cancel", job_id=job_id))
        if dice.random() < 0.3:
            when = at + dice.uniform(5, span)
            actions.append(self._wish(when, "redrive", job_id=job_id))
            if dice.random() < 0.3:
                actions.append(self._wish(when + 0.01, "redrive", job_id=job_id))
        if dice.random() < 0.1:
            when = at + dice.uniform(5, span)
            actions.append(self._wish(when, "dismiss", job_id=job_id))
        return actions

    def _wish(self, at: float, verb: str, **fields: Any) -> Wish:
        self._number += 1
        return Wish(at=at, verb=verb, tag=f"wish-{self._number}", **fields)

    def _request(self, job_id: str, at: float, kind: str | None) -> JobRequest:
        dice = self._dice
        if kind is None:
            kind = "key" if self._only_keys else dice.choice(KINDS)
        fields: dict[str, Any] = {
            "job_id": job_id,
            "type": JOB_TYPE,
            "job_name": kind,
            "created_at": BEGIN + timedelta(seconds=at),
            "priority": dice.choice((1, 5, 5, 5, 9)),
            "payload": self._plan(kind),
            "max_attempts": dice.choice((1, 2, 3, 3)),
            "retry_delay_seconds": dice.choice((0.5, 2, 10)),
        }
        if kind == "key" or dice.random() < 0.1:
            fields["lock_key"] = dice.choice(self._keys)
            if self._scenario.lock_slots > 1:
                other = self._slots_dice.random() < 0.1
                fields["lock_slots"] = self._scenario.lock_slots + other
        if limits := limits_of_job(self._scenario, self._number):
            fields["limits"] = limits
        if dice.random() < 0.15:
            ahead = dice.choice((1, 5, 20, 90))
            fields["run_at"] = BEGIN + timedelta(seconds=at + ahead)
        if dice.random() < 0.1:
            fields["timeout_seconds"] = dice.choice((0.5, 3, 20))
        if self._once_dice.random() < self._scenario.once:
            fields["on_lost"] = "fail"
        if kind == WAITING:
            fields["timeout_seconds"] = dice.choice((5, 30, 90))
        if dice.random() < 0.1:
            fields["callback_url"] = "https://example.org/result"
        if self._chains_dice.random() < self._scenario.chains:
            fields["then"] = self._steps(self._chains_dice.randint(1, 2))
        return JobRequest(**fields)

    def _steps(self, number: int, depth: int = 2) -> list[Then]:
        dice = self._chains_dice
        steps: list[Then] = []
        for _ in range(number):
            when = dice.choice(("success", "success", "failure", "always"))
            plan = {"steps": 1, "seconds": dice.choice((0, 2))}
            fields: dict[str, Any] = {"payload": plan, "when": when, "max_attempts": 2}
            if dice.random() < 0.2:
                plan["fatal"] = True
            if when != "failure":
                fields["results"] = {"handed": "previous"}
            if depth > 1 and dice.random() < 0.5:
                fields["then"] = self._steps(1, depth - 1)
            steps.append(Then(type=JOB_TYPE, **fields))
        return steps

    def _plan(self, kind: str) -> dict[str, Any]:
        dice, lease = self._dice, self._scenario.lease_seconds
        plan: dict[str, Any] = {"steps": dice.randint(1, 3), "seconds": dice.choice((0, 0.2, 2, 5))}
        if dice.random() < 0.5:
            plan["progress"] = True
        if dice.random() < 0.1:
            plan["checkpoint"] = 1
        if dice.random() < 0.03:
            plan["large"] = 40_000
        match kind:
            case "key" if dice.random() < 0.4:
                plan["seconds"] = lease * 0.3
            case "failing":
                plan["failAttempts"] = dice.randint(1, 3)
            case "hopeless":
                plan["fatal"] = True
            case "deferring":
                plan |= {"deferUntilEpoch": dice.randint(1, 2), "deferSeconds": 3}
            case "killer":
                plan["kill"] = True
            case "waiting":
                plan["answer"] = dice.choice(("completed", "completed", "failed", "never"))
            case "slow":
                plan |= {"steps": 4, "seconds": lease * dice.choice((0.4, 1.1))}
            case "blocking":
                plan |= {"block": 1, "blockSeconds": lease * dice.choice((0.5, 1.5))}
        return plan
