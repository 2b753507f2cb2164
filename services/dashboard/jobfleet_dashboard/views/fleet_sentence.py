"""Whether the fleet is well, in one sentence, worst news first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from jobfleet_contracts.index import OpenRow
from jobfleet_contracts.state import State
from jobfleet_contracts.worker_status import WorkerStatus
from jobfleet_dashboard.views.durations import seconds_between, spell
from jobfleet_dashboard.views.words import Sentence, Words
from jobfleet_dashboard.worker_list import is_alive

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
    oldest: OpenRow | None,
    now: datetime,
) -> FleetSentence:
    """Return what somebody woken at night has to read first."""
    alive = [worker for worker in workers if is_alive(worker, now)]
    open_jobs = sum(count for state, count in counts.items() if not state.is_terminal)
    if not alive:
        return _nobody_works(open_jobs)
    slots = sum(worker.slots for worker in alive)
    busy = sum(len(worker.running) for worker in alive)
    waited = seconds_between(oldest.opened_at, now) if oldest else 0.0
    if oldest is not None and waited > _LONG_WAIT_SECONDS:
        return _somebody_waits(oldest, waited, busy, slots)
    return _well(len(alive), len(workers) - len(alive), busy, slots, open_jobs)


def _nobody_works(open_jobs: int) -> FleetSentence:
    if not open_jobs:
        return FleetSentence("idle", (Words("No worker is alive, and no job waits for one."),))
    text = f"Nobody works: no worker is alive and {_jobs(open_jobs)} not done. Start one with "
    verb = "is" if open_jobs == 1 else "are"
    return FleetSentence(
        "bad", (Words(text.replace(" not done", f" {verb} not done")), Words("jobfleet worker."))
    )


def _somebody_waits(oldest: OpenRow, waited: float, busy: int, slots: int) -> FleetSentence:
    why = "all slots are busy" if busy >= slots else "though slots are free"
    return FleetSentence(
        "warning",
        (
            Words("The oldest queued job, "),
            Words(oldest.facts.job_name, href=f"/jobs/{oldest.facts.job_id}"),
            Words(f", has waited {spell(waited)}; {why} ({busy} of {slots})."),
        ),
    )


def _well(alive: int, silent: int, busy: int, slots: int, open_jobs: int) -> FleetSentence:
    workers = "1 worker is" if alive == 1 else f"{alive} workers are"
    lost = f"; {silent} went silent" if silent else ""
    work = (
        f"{busy} of {slots} slots busy, {_jobs(open_jobs)} open" if open_jobs else "nothing to do"
    )
    text = f"The fleet is well: {workers} alive{lost}, {work}."
    return FleetSentence("warning" if silent else "good", (Words(text),))


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count:,} jobs"
