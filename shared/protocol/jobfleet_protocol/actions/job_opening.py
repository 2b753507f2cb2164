"""All that makes a job exist, put together for one transaction."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from jobfleet_contracts.changed import changed
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import OpenRow
from jobfleet_contracts.message import JobDefaults, JobMessage
from jobfleet_contracts.transaction import Opening
from jobfleet_protocol.actions.publication import LONGEST_DELAY
from jobfleet_protocol.trail.large_data import split

if TYPE_CHECKING:
    from jobfleet_contracts.job import JobRequest


def opening_of(
    request: JobRequest,
    defaults: JobDefaults,
    event: Event,
    row: OpenRow,
    *,
    now: datetime,
    inline_bytes: int,
    notify: bool = False,
) -> Opening:
    """Return the opening of a job.

    Args:
        event: event 1.
        row: its open row, as it is before the event.
        now: when the message is published.
        inline_bytes: larger data of the event are stored separately.
        notify: whether the commit of a user's transaction wakes waiting workers.
    """
    stored, data = split(event, inline_bytes=inline_bytes)
    due_at = event.after.due_at
    delay = timedelta(0) if due_at is None else max(due_at - now, timedelta(0))
    is_sent = delay <= LONGEST_DELAY
    message = JobMessage(
        request=request,
        defaults=defaults,
        sequence=event.sequence,
        published_at=now,
        due_at=due_at,
        opening_hash=event.hash,
    )
    return Opening(
        event=event,
        stored=stored,
        data=data,
        row=changed(row, sequence=event.sequence, published=event.sequence if is_sent else 0),
        message=message if is_sent else None,
        delay_seconds=delay.total_seconds(),
        notify=notify,
    )
