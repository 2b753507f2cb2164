"""What stays of a job whose history the retention has removed: one row, at sequence 1.

It takes the place of event 1, because a repeated submit finds its job by the insert of event 1. The
newest row is terminal, so every late message, callback or cancel request finds the job ended. A
trail that begins with a tombstone holds nothing else.

Before anything is removed, the same row is inserted after the newest one, as a seal. It takes the
sequence that a redrive would need, so no job goes on while its past is being removed.
"""

from __future__ import annotations

from dataclasses import replace

from jobfleet_contracts.event import Event
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.state import State, Status
from jobfleet_protocol.trail.chain import chained, linked

MARK = "tombstone"
_KEYS = frozenset({MARK, "removed", "digest"})
_ENDS = {
    Status.COMPLETED: State.COMPLETED,
    Status.FAILED: State.FAILED,
    Status.CANCELLED: State.CANCELLED,
    Status.TIMED_OUT: State.TIMED_OUT,
}


def tombstone_of(ending: Event, head: Event, *, digest: str | None, message: str) -> Event:
    """Return the row that takes the place of a job's whole history.

    It keeps what the job was and how it ended; payload, result, error and messages go.

    Args:
        ending: the terminal event of the last incarnation.
        head: the newest event: ``ending``, or the ``Dismissed`` after it.
        digest: the request's digest, so that a repeated submit with another body is refused.
    """
    row = replace(
        ending,
        after=replace(head.after, sequence=1, lifecycle_before=0),
        message=message,
        duration_ms=None,
        data={MARK: True, "removed": head.sequence - 1, "digest": digest},
    )
    return chained(None, row)


def seal_of(tombstone: Event, *, head: Event) -> Event:
    """Return the row that announces the tombstone, to be inserted after ``head``.

    It carries the hash chain on: with an earlier hash one can check that it follows.
    """
    after = replace(
        tombstone.after, sequence=head.sequence + 1, lifecycle_before=head.newest_lifecycle
    )
    return linked(head, replace(tombstone, after=after, event_id=new_id()))


def tombstone_under(seal: Event) -> Event:
    """Return the tombstone that a seal announces: the first row of a trail, by its hash too."""
    return linked(None, replace(seal, after=replace(seal.after, sequence=1, lifecycle_before=0)))


def is_tombstone(event: Event) -> bool:
    """Whether the job's history was removed, or is being removed, and this row stands for it."""
    return event.data.get(MARK) is True


def is_seal(event: Event) -> bool:
    """Whether the job's history is being removed: its rows may still stand, or some of them."""
    return is_tombstone(event) and event.sequence > 1


def flaw_of(tombstone: Event) -> str | None:
    """Return what is wrong with the form of a tombstone, ``None`` if nothing is."""
    after, removed = tombstone.after, tombstone.data.get("removed")
    if tombstone.data.keys() != _KEYS:
        return f"a tombstone's data are {', '.join(sorted(_KEYS))}"
    if not isinstance(removed, int) or removed < 1:
        return f"a tombstone stands for at least one removed row, not {removed}"
    if is_seal(tombstone) and removed != tombstone.sequence - 2:
        return f"a seal at {tombstone.sequence} removes {tombstone.sequence - 2} further rows"
    if after.lifecycle_before not in range(tombstone.sequence) or (
        is_seal(tombstone) and after.lifecycle_before == 0
    ):
        return f"no lifecycle event is at {after.lifecycle_before} before a row at {after.sequence}"
    if _ENDS.get(tombstone.kind) is not after.state:
        return f"a tombstone is an ending, not {tombstone.status} with state {after.state}"
    if after.due_at is not None or after.cancel_requested:
        return "a tombstone is due no more and answers no cancel request"
    return None
