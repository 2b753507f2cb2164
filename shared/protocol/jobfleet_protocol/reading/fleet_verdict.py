"""Whether the fleet is well: a list of problems, worst first, each with where to act."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Any
from urllib.parse import quote

from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.index import OpenRow, QueueDepth
from jobfleet_contracts.state import State
from jobfleet_contracts.worker_status import WorkerStatus
from jobfleet_protocol.control.pause_state import NO_PAUSES, FleetPauses, Pause
from jobfleet_protocol.reading.durations import seconds_between, spell
from jobfleet_protocol.reading.group_record import held_text

LONG_WAIT_SECONDS = 60.0
ENOUGH_ENDINGS = 10
"""Fewer endings than this say nothing about how many fail."""
BAD_SHARE = 0.1
_NAMED = 5
"""Problems of one kind that are named; the others are counted."""


class Severity(IntEnum):
    """How bad a problem is; the worst is the lowest."""

    BAD = 0
    WARNING = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        kind: which rule found it, for programs: ``failing``, ``unserved`` and so on.
        text: one sentence for people, masked.
        link: the dashboard's page that shows it and where one can act.
    """

    kind: str
    severity: Severity
    text: str
    link: str

    def to_json(self) -> dict[str, Any]:
        """Return one item of ``GET /api/verdict``."""
        return {
            "kind": self.kind,
            "severity": self.severity.name.lower(),
            "text": self.text,
            "link": self.link,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeEndings:
    """How the jobs of one type ended in the last minutes.

    Attributes:
        job_type: empty: types without a handler.
        ended: all of them; ``None`` if they are too many to count.
        since: when the first bad one ended.
        message: the commonest failure's message.
        others: the other classes of errors, the commonest first.
    """

    job_type: str
    bad: int
    ended: int | None
    since: datetime
    message: str
    others: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldGroup:
    """A group whose members have all ended, and ``bad`` of them keep it open."""

    group_id: str
    name: str
    bad: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetFacts:
    """What the verdict rests on.

    Attributes:
        ended, ended_badly: counts of the last five minutes; only the first has cancelled jobs.
        failing: the types with bad endings in that time, most first.
        longest_queued: the job of each queue that waits longest; ``queued``: how many wait.
        deferred_types: how many of some deferred and queued jobs have which type.
        late: since when the oldest tick of a schedule is due, by name; only late ones.
        held: groups that wait only for an operator to see to members that did not complete.
        broker: why the queues could not be read; empty if they were.
    """

    now: datetime
    counts: Mapping[State, int] = field(default_factory=dict)
    workers: Sequence[WorkerStatus] = ()
    longest_queued: Mapping[str, OpenRow] = field(default_factory=dict)
    queued: Mapping[str, int] = field(default_factory=dict)
    depths: Sequence[QueueDepth] = ()
    pauses: FleetPauses = NO_PAUSES
    ended: int = 0
    ended_badly: int = 0
    failing: Sequence[TypeEndings] = ()
    deferred_types: Mapping[str, int] = field(default_factory=dict)
    late: Mapping[str, datetime] = field(default_factory=dict)
    held: Sequence[HeldGroup] = ()
    broker: str = ""

    @property
    def alive(self) -> list[WorkerStatus]:
        """Workers whose last heartbeat is recent."""
        return [worker for worker in self.workers if worker.is_alive(self.now)]

    @property
    def masked_texts(self) -> list[str]:
        """The texts that the verdict masks."""
        pauses = (*self.pauses.queues.values(), *self.pauses.types.values())
        return [self.broker, *(one.reason for one in pauses), *(group.name for group in self.held)]

    @property
    def open_jobs(self) -> int:
        """Jobs that have not ended."""
        return sum(count for state, count in self.counts.items() if not state.is_terminal)


@dataclass(frozen=True, slots=True)
class FleetVerdict:
    """The problems, worst first, and the fleet in one sentence.

    Attributes:
        tone: ``bad``, ``warning``, ``good``, or ``idle`` if no worker is alive and nothing waits.
        facts: what it rests on.
    """

    tone: str
    summary: str
    problems: tuple[Problem, ...]
    facts: FleetFacts

    def to_json(self) -> dict[str, Any]:
        """Return the document of ``GET /api/verdict``."""
        return {
            "tone": self.tone,
            "summary": self.summary,
            "problems": [problem.to_json() for problem in self.problems],
        }


def fleet_verdict(facts: FleetFacts) -> FleetVerdict:
    """Return what an operator who is woken at night has to read first."""
    found: list[Problem] = []
    for rule in _RULES:
        found += _capped(list(rule(facts)))
    problems = tuple(sorted(found, key=lambda problem: problem.severity))
    return FleetVerdict(_tone(facts, problems), _summary(facts), problems, facts)


def _tone(facts: FleetFacts, problems: Sequence[Problem]) -> str:
    if problems:
        return "bad" if problems[0].severity is Severity.BAD else "warning"
    return "good" if facts.alive else "idle"


def _summary(facts: FleetFacts) -> str:
    alive, open_jobs = facts.alive, facts.open_jobs
    if not alive and not open_jobs:
        return "No worker is alive, and no job waits for one."
    workers = "1 worker is" if len(alive) == 1 else f"{len(alive)} workers are"
    busy, slots = _load(alive)
    work = f"{busy} of {slots} slots busy, {_jobs(open_jobs)} open" if open_jobs else "no open job"
    return f"{workers} alive, {work}."


def _broker(facts: FleetFacts) -> Iterator[Problem]:
    if facts.broker:
        text = (
            f"The broker does not answer: {masked_text(facts.broker)}. Jobs are kept, none starts."
        )
        yield Problem(kind="broker", severity=Severity.BAD, text=text, link="/readyz")


def _nobody(facts: FleetFacts) -> Iterator[Problem]:
    if not facts.alive and facts.open_jobs:
        verb = "is" if facts.open_jobs == 1 else "are"
        text = (
            f"Nobody works: no worker is alive and {_jobs(facts.open_jobs)} {verb} not done. "
            "Start one with jobfleet worker."
        )
        yield Problem(kind="nobody", severity=Severity.BAD, text=text, link="/workers")


def _failing(facts: FleetFacts) -> Iterator[Problem]:
    """Too many of all endings were bad, or every ending of one type."""
    many = facts.ended >= ENOUGH_ENDINGS and facts.ended_badly > facts.ended * BAD_SHARE
    for one in facts.failing:
        all_of_it = one.bad >= ENOUGH_ENDINGS and one.ended == one.bad
        if many or all_of_it:
            of = "" if one.ended is None else f" of {one.ended:,}"
            span = spell(seconds_between(one.since, facts.now))
            named = one.job_type or "Types without a handler"
            text = f"{named}: {one.bad:,}{of} failed in {span}: {one.message}{_others(one)}"
            chosen = f"&type={quote(one.job_type, safe='')}" if one.job_type else ""
            link = f"/errors?range=15m{chosen}"
            yield Problem(kind="failing", severity=Severity.BAD, text=text, link=link)
    if many and not facts.failing:
        text = f"{facts.ended_badly:,} of {facts.ended:,} jobs failed in the last 5 min."
        yield Problem(kind="failing", severity=Severity.BAD, text=text, link="/errors?range=15m")


def _others(one: TypeEndings) -> str:
    if not one.others:
        return ""
    return (
        f"; also {one.others[0]}"
        if len(one.others) == 1
        else f"; and {len(one.others)} more errors"
    )


def _unserved(facts: FleetFacts) -> Iterator[Problem]:
    if not facts.alive:
        return
    served = {queue for worker in facts.alive for queue in worker.queues}
    waiting = set(facts.queued) | set(facts.longest_queued)
    for queue in sorted(waiting - served):
        oldest = facts.longest_queued.get(queue)
        waited = "" if oldest is None else f", the oldest for {_waited(oldest, facts.now)}"
        text = f"No live worker serves queue {queue}, in which jobs wait{waited}."
        link = f"/jobs?queue={quote(queue, safe='')}"
        yield Problem(kind="unserved", severity=Severity.BAD, text=text, link=link)


def _no_handler(facts: FleetFacts) -> Iterator[Problem]:
    if not facts.alive:
        return
    handled = {job_type for worker in facts.alive for job_type in worker.types}
    for job_type in sorted(set(facts.deferred_types) - handled):
        text = f"No live worker has a handler for {job_type}, whose jobs wait."
        link = f"/jobs?type={quote(job_type, safe='')}"
        yield Problem(kind="noHandler", severity=Severity.BAD, text=text, link=link)


def _circuits(facts: FleetFacts) -> Iterator[Problem]:
    by_target: dict[str, int] = {}
    for worker in facts.alive:
        for target in worker.open_circuits:
            by_target[target] = by_target.get(target, 0) + 1
    for target, workers in sorted(by_target.items()):
        who = "1 worker leaves" if workers == 1 else f"{workers} workers leave"
        text = f"{who} {target} alone after failures in a row (open circuit)."
        yield Problem(kind="circuit", severity=Severity.WARNING, text=text, link="/workers")


def _late(facts: FleetFacts) -> Iterator[Problem]:
    for name, since in sorted(facts.late.items(), key=lambda item: item[1]):
        text = f"Schedule {name} is late by {spell(seconds_between(since, facts.now))}."
        link = f"/schedules/{quote(name, safe='')}"
        yield Problem(kind="late", severity=Severity.WARNING, text=text, link=link)


def _paused(facts: FleetFacts) -> Iterator[Problem]:
    pauses = facts.pauses
    for pause in (*pauses.queues.values(), *pauses.types.values()):
        yield Problem(
            kind="paused", severity=Severity.WARNING, text=_pause_text(pause), link="/queues"
        )


def _pause_text(pause: Pause) -> str:
    why = f": {pause.shown_reason}" if pause.reason else ""
    return (
        f"{pause.subject.capitalize()} {pause.name} is paused by {pause.by}{pause.until_text}{why}."
    )


def _held(facts: FleetFacts) -> Iterator[Problem]:
    for group in facts.held:
        text = f"Group {masked_text(group.name)} is {held_text(group.bad)}."
        link = f"/groups/{group.group_id}"
        yield Problem(kind="held", severity=Severity.WARNING, text=text, link=link)


def _waiting(facts: FleetFacts) -> Iterator[Problem]:
    for queue, row in sorted(facts.longest_queued.items(), key=lambda item: item[1].opened_at):
        serving = [worker for worker in facts.alive if queue in worker.queues]
        waited = seconds_between(row.opened_at, facts.now)
        held = facts.pauses.holding(queue=queue, job_type=row.facts.job_type)
        if waited <= LONG_WAIT_SECONDS or not serving or held is not None:
            continue
        busy, slots = _load(serving)
        why = "all slots are busy" if busy >= slots else "though slots are free"
        text = (
            f"The oldest job queued in {queue}, {masked_text(row.facts.job_name)}, has waited "
            f"{spell(waited)}; {why} ({busy} of {slots})."
        )
        link = f"/jobs/{row.facts.job_id}"
        yield Problem(kind="waiting", severity=Severity.WARNING, text=text, link=link)


def _silent(facts: FleetFacts) -> Iterator[Problem]:
    for worker in facts.workers:
        if worker.is_alive(facts.now) or worker.stopped_at is not None:
            continue
        since = spell(seconds_between(worker.heartbeat_at, facts.now))
        text = f"Worker {worker.worker_id[-8:]} on {worker.host} went silent {since} ago."
        if worker.unreadable:
            text = f"The row of worker {worker.worker_id[-8:]} cannot be read."
        link = f"/workers/{worker.worker_id}"
        yield Problem(kind="silent", severity=Severity.WARNING, text=text, link=link)


_RULES = (
    _broker,
    _nobody,
    _failing,
    _unserved,
    _no_handler,
    _waiting,
    _held,
    _circuits,
    _late,
    _silent,
    _paused,
)
"""Worst first among those of one severity."""


def _capped(problems: list[Problem]) -> list[Problem]:
    """Return the first few of a kind; the last one counts the others."""
    more = len(problems) - _NAMED
    if more <= 0:
        return problems
    last = problems[_NAMED - 1]
    text = f"{last.text} And {more:,} more like this."
    named = Problem(kind=last.kind, severity=last.severity, text=text, link=last.link)
    return [*problems[: _NAMED - 1], named]


def _waited(row: OpenRow, now: datetime) -> str:
    return spell(seconds_between(row.opened_at, now))


def _load(workers: Sequence[WorkerStatus]) -> tuple[int, int]:
    """Return how many slots are busy, and how many there are."""
    return sum(len(worker.running) for worker in workers), sum(w.slots for w in workers)


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count:,} jobs"
