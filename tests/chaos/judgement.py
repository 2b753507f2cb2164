"""What the stored trail says after a chaotic run."""

import bisect
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from devtools import second_checker
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.codec import encode
from jobfleet_contracts.event import Event
from jobfleet_contracts.state import State, Status
from jobfleet_protocol.audit.index_drift import DriftCheck
from jobfleet_protocol.audit.verification import Verifier
from jobfleet_protocol.reading.export_line import export_line

CALLING = "http.request"
"""Type of the jobs that call the witness."""


@dataclass(slots=True)
class Judgement:
    """Findings over all jobs.

    Attributes:
        open: jobs that have not ended.
        ends: jobs by their last state.
        overlaps: turns under one lock key that began before the one before was over.
        calling: incarnations of each job that calls the witness.
        called: those of them that completed.
        drift: differences between index and trail; reported, not judged.
        slowest: longest time, in seconds, from the blow to a worker to the takeover of its job.
    """

    violations: list[str] = field(default_factory=list)
    overlaps: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)
    known: set[str] = field(default_factory=set)
    calling: dict[str, int] = field(default_factory=dict)
    called: set[str] = field(default_factory=set)
    events: int = 0
    takeovers: int = 0
    drift: int = 0
    slowest: float = 0.0


LAST_EVENTS = 12
"""So many are shown of a job that has not ended."""


async def judge(backend: Backend, struck: Mapping[str, Sequence[float]]) -> Judgement:
    """Read the whole trail once, and the index against it.

    Args:
        struck: when each worker id was killed or put to sleep, in epoch seconds.
    """
    found, verifier, drift = Judgement(), Verifier(), DriftCheck()
    exported: list[str] = []
    async for history in backend.trail.scan():
        exported += [encode(export_line(event, raw=False)).decode() for event in history]
        verifier.add(history)
        drift.add(history)
        _take(found, history, struck)
    found.violations = [str(each) for each in verifier.finish()]
    found.violations += [
        f"second checker: {each}" for each in second_checker.check(exported, raw=False)
    ]
    found.overlaps = [str(note) for note in verifier.notes.kept if note.rule == 9]
    found.events = verifier.events
    await drift.compare(backend.reader, backend.trail)
    found.drift = drift.differences.total
    return found


def _take(
    found: Judgement, history: Sequence[Event], struck: Mapping[str, Sequence[float]]
) -> None:
    last = history[-1]
    found.known.add(last.job_id)
    found.ends[last.after.state.value] += 1
    if last.facts.job_type == CALLING:
        found.calling[last.job_id] = last.after.incarnation
        if last.after.state is State.COMPLETED:
            found.called.add(last.job_id)
    if not last.after.state.is_terminal:
        lines = (
            f"\n    {e.occurred_at:%H:%M:%S.%f} {e.status} by {e.worker_id}: {e.message}"
            for e in history[-LAST_EVENTS:]
        )
        found.open.append(f"{last.job_id} is {last.after.state.value}{''.join(lines)}")
    started: Event | None = None
    for event in history:
        if event.kind is Status.TAKEN_OVER:
            found.takeovers += 1
            if started is not None:
                found.slowest = max(found.slowest, _recovery(started, event, struck))
        if event.kind is Status.STARTED:
            started = event


def _recovery(started: Event, taken: Event, struck: Mapping[str, Sequence[float]]) -> float:
    """Return seconds from the last blow to the worker; 0 where other trouble lost the attempt."""
    blows = struck.get(started.worker_id or "", ())
    taken_at = taken.occurred_at.timestamp()
    last = bisect.bisect(blows, taken_at)
    if not last or blows[last - 1] < started.occurred_at.timestamp():
        return 0.0
    return taken_at - blows[last - 1]
