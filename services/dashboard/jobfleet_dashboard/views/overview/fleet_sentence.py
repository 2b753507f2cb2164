"""Whether the fleet is well, in one sentence, worst news first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from jobfleet_contracts.index import OpenRow
from jobfleet_contracts.state import State
from jobfleet_contracts.worker_status import WorkerStatus
from jobfleet_dashboard.views.durations import seconds_between, spell
from jobfleet_dashboard.views.text_span import Sentence, TextSpan

_LONG_WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class FleetSentence:
    """The sentence and its tone: ``good``, ``idle``, ``warning`` or ``bad``."""

    tone: str
    words: Sentence


def fleet_sentence(
    *,
    counts: Mapping[State, int],
    workers: Sequence[WorkerStatus],
    longest_queued: Mapping[str, OpenRow],
    now: datetime,
) -> FleetSentence:
    """Return what somebody woken at night has to read first.

    Args:
        longest_queued: of each queue the job that waits longest.
    """
    alive = [worker for worker in workers if worker.is_alive(now)]
    open_jobs = sum(count for state, count in counts.items() if not state.is_terminal)
    if not alive:
        return _nobody_works(open_jobs)
    late = [row for row in longest_queued.values() if _waited(row, now) > _LONG_WAIT_SECONDS]
    if late:
        # In a queue without workers a job waits for ever, however long others wait for a slot.
        worst = min(late, key=lambda row: (bool(_serving(row, alive)), row.opened_at))
        return _somebody_waits(worst, _waited(worst, now), _serving(worst, alive))
    busy, slots = _load(alive)
    return _well(len(alive), len(workers) - len(alive), busy, slots, open_jobs)


def _waited(row: OpenRow, now: datetime) -> float:
    return seconds_between(row.opened_at, now)


def _serving(row: OpenRow, workers: Sequence[WorkerStatus]) -> Sequence[WorkerStatus]:
    return [worker for worker in workers if row.facts.queue in worker.queues]


def _load(workers: Sequence[WorkerStatus]) -> tuple[int, int]:
    """Return how many slots are busy, and how many there are."""
    busy = sum(len(worker.running) for worker in workers)
    return busy, sum(worker.slots for worker in workers)


def _nobody_works(open_jobs: int) -> FleetSentence:
    if not open_jobs:
        return FleetSentence("idle", (TextSpan("No worker is alive, and no job waits for one."),))
    text = f"Nobody works: no worker is alive and {_jobs(open_jobs)} not done. Start one with "
    verb = "is" if open_jobs == 1 else "are"
    remedy = TextSpan("jobfleet worker.")
    return FleetSentence("bad", (TextSpan(text.replace(" not done", f" {verb} not done")), remedy))


def _somebody_waits(row: OpenRow, waited: float, serving: Sequence[WorkerStatus]) -> FleetSentence:
    busy, slots = _load(serving)
    why = "all slots are busy" if busy >= slots else "though slots are free"
    why = f"{why} ({busy} of {slots})" if serving else "no live worker serves its queue"
    return FleetSentence(
        "warning",
        (
            TextSpan(f"The oldest job queued in {row.facts.queue}, "),
            TextSpan(row.facts.job_name, href=f"/jobs/{row.facts.job_id}"),
            TextSpan(f", has waited {spell(waited)}; {why}."),
        ),
    )


def _well(alive: int, silent: int, busy: int, slots: int, open_jobs: int) -> FleetSentence:
    workers = "1 worker is" if alive == 1 else f"{alive} workers are"
    lost = f"; {silent} went silent" if silent else ""
    work = (
        f"{busy} of {slots} slots busy, {_jobs(open_jobs)} open" if open_jobs else "nothing to do"
    )
    text = f"The fleet is well: {workers} alive{lost}, {work}."
    return FleetSentence("warning" if silent else "good", (TextSpan(text),))


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count:,} jobs"
