"""What must be true of jobs whose worker was lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from jobfleet_contracts.event import Event
from jobfleet_contracts.lookup_keys import LOST_BY, keys_in
from jobfleet_contracts.state import State, Status

_ENDS = (Status.FAILED, Status.CANCELLED)


def loss_faults(trails: Mapping[str, Sequence[Event]]) -> Iterator[str]:
    """Yield what is wrong with the trails of such jobs."""
    for job_id, history in trails.items():
        yield from _unnamed_losses(job_id, history)
        if not history or history[0].data.get("request", {}).get("onLost") != "fail":
            continue
        for before, event in pairwise(history):
            where = f"job {job_id} #{event.sequence}, which may not start again,"
            lost = before.kind is Status.TAKEN_OVER and _was_running(history, before)
            if lost and event.kind not in _ENDS:
                yield f"{where} goes on with {event.status} after its worker was lost"
            reason = event.data.get("reason")
            if event.kind is Status.DEFERRED and reason == "shutdown" and _had_begun(before):
                yield f"{where} was handed back after its handler had begun"


def _unnamed_losses(job_id: str, history: Sequence[Event]) -> Iterator[str]:
    """A worker's page finds the jobs that were taken from it by this name."""
    for before, event in pairwise(history):
        taken = event.kind is Status.TAKEN_OVER and before.after.state is State.RUNNING
        if taken and keys_in(event).get(LOST_BY) != before.after.worker_id:
            yield f"job {job_id} #{event.sequence} does not name the worker that lost the job"


def _was_running(history: Sequence[Event], taken_over: Event) -> bool:
    return history[taken_over.sequence - 2].after.state is State.RUNNING


def _had_begun(before: Event) -> bool:
    return before.kind is Status.STEP
