"""One job's events as they happen, exactly by sequence, from the trail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from jobfleet_contracts.errors import BackendError
from jobfleet_contracts.event import Event
from jobfleet_contracts.ports import AuditTrail
from jobfleet_contracts.value_coder import NO_CODER, ValueCoder
from jobfleet_dashboard.live.hub import LiveHub
from jobfleet_protocol.reading.readable_trail import ReadableTrail

_PAGE = 500
_LOOK_AGAIN_SECONDS = 5.0
"""The index behind the live tail may lose rows; the trail does not."""


async def job_events(
    *,
    trail: AuditTrail,
    live: LiveHub,
    job_id: str,
    after: int,
    coder: ValueCoder = NO_CODER,
) -> AsyncIterator[Sequence[Event]]:
    """Yield the job's events with ``sequence > after`` without gap or repetition.

    They are decoded if they can be. Ends at shutdown and if the listener is too slow; resume
    with the last sequence seen.
    """
    readable = ReadableTrail(trail)
    async with live.subscribe(job_id=job_id) as news:
        while not news.ended:
            try:
                events = await readable.history(job_id, after=after, limit=_PAGE)
            except BackendError:
                events = ()
            if events:
                after = events[-1].sequence
                yield [coder.opened(event) for event in events]
            if len(events) < _PAGE and await news.next(_LOOK_AGAIN_SECONDS) is None:
                return
