"""What must be true of jobs that follow others, by the trails that are left after a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jobfleet_contracts.event import Event
from jobfleet_contracts.state import State, Status
from jobfleet_protocol.actions.submission import request_of
from jobfleet_protocol.actions.successors import is_due, successor_id
from jobfleet_protocol.trail.tombstone import is_tombstone


def chain_faults(trails: Mapping[str, Sequence[Event]]) -> Iterator[str]:
    """Yield successors that are missing, that should not be, or that got another result."""
    for job_id, history in trails.items():
        if not history or is_tombstone(history[0]) or "request" not in history[0].data:
            continue
        for number, step in enumerate(request_of(history[0]).then):
            for ending in filter(_is_ending, history):
                incarnation = ending.after.incarnation
                follower = trails.get(successor_id(job_id, number, incarnation), ())
                which = f"successor {number} of incarnation {incarnation} of {job_id}"
                is_erased = history[-1].kind is Status.ERASED  # then its result goes to nobody
                wanted = is_due(step, ending.after.state)
                if bool(follower) != wanted and not (is_erased and wanted):
                    yield f"{which}, which is {ending.after.state}: {len(follower)} events"
                yield from _handed(which, ending, follower)


def _is_ending(event: Event) -> bool:
    ended = event.after.state.is_terminal and event.kind not in (
        Status.DISMISSED,
        Status.ERASED,
    )
    return ended and not is_tombstone(event)


def _handed(which: str, ending: Event, follower: Sequence[Event]) -> Iterator[str]:
    completed = ending.after.state is State.COMPLETED
    right: Any = ending.data.get("result") if completed else None
    for event in follower:
        result = event.data.get("result") if event.kind is Status.COMPLETED else None
        if isinstance(result, dict) and "handed" in result and result["handed"] != right:
            yield f"{which} was handed the result {result['handed']}, which is none of that job"
