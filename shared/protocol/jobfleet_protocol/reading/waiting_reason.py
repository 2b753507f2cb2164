"""Why a job that could start has not started: pauses, slots, jobs ahead, locks, rates, its time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from jobfleet_contracts.codec import format_time
from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.event import Event
from jobfleet_contracts.fleet_ports import WorkerDirectory
from jobfleet_contracts.index import Census, QueueDepth
from jobfleet_contracts.internal_job import INTERNAL_TYPES
from jobfleet_contracts.job import LANES, lane_of
from jobfleet_contracts.ports import Clock, JobQueue
from jobfleet_contracts.state import CLAIMABLE, State, Status
from jobfleet_contracts.worker_status import WorkerStatus
from jobfleet_protocol.control.pause_state import Pause
from jobfleet_protocol.control.pauses import Pauses
from jobfleet_protocol.reading.durations import spell
from jobfleet_protocol.reading.masking_turns import in_turn


@dataclass(frozen=True, slots=True)
class WaitingReason:
    """One reason.

    Attributes:
        kind: ``paused``, ``time``, ``deferred``, ``noWorker``, ``noHandler``, ``slots``, ``ahead``
            or ``soon``.
        text: a sentence for people, without credentials.
        href: where it can be seen or mended, empty for nowhere.
    """

    kind: str
    text: str
    href: str = ""

    def to_json(self) -> dict[str, str]:
        """Return one item of ``GET /api/jobs/{jobId}/waiting``."""
        return {"kind": self.kind, "text": self.text}


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetNow:
    """What the fleet looks like: five reads, however many jobs there are."""

    pause: Pause | None
    workers: Sequence[WorkerStatus]
    depths: Sequence[QueueDepth]
    census: Census
    now: datetime


async def waiting_reasons(
    head: Event,
    *,
    pauses: Pauses,
    queue: JobQueue,
    census: Callable[[], Awaitable[Census]],
    directory: WorkerDirectory,
    clock: Clock,
) -> list[WaitingReason]:
    """Return why the job has not started, the strongest reason first; none for other states.

    Args:
        census: counts the open jobs, or remembers a recent count.

    Raises:
        BackendUnavailable: broker or storage did not answer.
    """
    if head.after.state not in CLAIMABLE:
        return []
    pause, depths, counted, workers = await asyncio.gather(
        pauses.of_job(head), queue.depths(), census(), directory.workers()
    )
    now = clock.now()
    alive = [worker for worker in workers if worker.is_alive(now) and not worker.draining]
    fleet = FleetNow(pause=pause, workers=alive, depths=depths, census=counted, now=now)
    texts = [head.message, head.data, "" if pause is None else pause.reason]
    return await in_turn(lambda each: reasons_for(each, fleet), head, texts)


def reasons_for(head: Event, fleet: FleetNow) -> list[WaitingReason]:
    """Return the reasons; at least one."""
    found = [*_reasons(head, fleet)]
    return found or [WaitingReason("soon", "Nothing keeps it: a worker will take it at once.")]


def _reasons(head: Event, fleet: FleetNow) -> Iterator[WaitingReason]:
    facts, due = head.facts, head.after.due_at
    if fleet.pause is not None:
        yield WaitingReason("paused", _sentence(fleet.pause.text), "/queues")
    if due is not None and due > fleet.now:
        verb = "It starts" if head.after.state is State.SCHEDULED else "It is tried again"
        text = f"{verb} at {format_time(due)}, in {spell((due - fleet.now).total_seconds())}."
        yield WaitingReason("time", text)
    if head.kind is Status.DEFERRED and head.data.get("reason") != "paused":
        yield _deferred(head)
    serving = [worker for worker in fleet.workers if facts.queue in worker.queues]
    if not serving:
        yield WaitingReason("noWorker", f"No live worker serves queue {facts.queue}.", "/workers")
        return
    able = [worker for worker in serving if facts.job_type in worker.types]
    if not able and facts.job_type not in INTERNAL_TYPES:
        text = f"No live worker of queue {facts.queue} has a handler for type {facts.job_type}."
        yield WaitingReason("noHandler", text, "/workers")
        return
    if due is None or due <= fleet.now:
        yield from _crowd(head, fleet, able or serving)


def _deferred(head: Event) -> WaitingReason:
    """Return the reason of the worker that put it off."""
    rate, reason = head.data.get("rate"), head.data.get("reason")
    if reason == "rate" and isinstance(rate, str):
        return WaitingReason("deferred", f"It waits for rate {masked_text(rate)}.")
    if reason == "shutdown":
        return WaitingReason("deferred", "Its worker shut down and handed it back.")
    key = head.facts.lock_key
    href = "/locks" if key is not None and reason == "lock" else ""
    text = masked_text(head.message) or f"deferred: {reason}"
    return WaitingReason("deferred", _sentence(text), href)


def _crowd(head: Event, fleet: FleetNow, able: Sequence[WorkerStatus]) -> Iterator[WaitingReason]:
    slots = sum(worker.slots for worker in able)
    used = min(slots, sum(len(worker.running) for worker in able))
    if slots and used >= slots:
        text = f"All {slots:,} slots of the workers that could run it are busy."
        yield WaitingReason("slots", text, "/workers")
    facts = head.facts
    before = LANES[: LANES.index(lane_of(facts.priority)) + 1]
    ready = sum(
        depth.ready for depth in fleet.depths if depth.queue == facts.queue and depth.lane in before
    )
    if ready > 1:
        yield WaitingReason("ahead", _ahead(head, fleet, ready - 1), f"/jobs?queue={facts.queue}")


def _ahead(head: Event, fleet: FleetNow, ahead: int) -> str:
    """Count messages of its own lane and of higher ones: at most these are taken before it."""
    jobs = "1 job is" if ahead == 1 else f"up to {ahead:,} jobs are"
    text = f"{jobs[0].upper()}{jobs[1:]} ahead of it in queue {head.facts.queue}"
    oldest = fleet.census.longest_queued.get(head.facts.queue)
    if oldest is None:
        return f"{text}."
    waited = spell(max(0.0, (fleet.now - oldest.opened_at).total_seconds()))
    return f"{text}; the oldest waits {waited}."


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
