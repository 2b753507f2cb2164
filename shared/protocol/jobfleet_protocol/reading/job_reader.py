"""Reads one job from its trail, with a number of requests that its length does not raise.

What it returns is decoded, if the process has the codec, and masked. Rows that cannot be read are
stand-ins in the history, and nothing else is concluded from them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from jobfleet_contracts.codec import encode
from jobfleet_contracts.cursor import CursorForm
from jobfleet_contracts.encoded_value import is_label
from jobfleet_contracts.errors import DataMissing, UnknownJob
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import Page
from jobfleet_contracts.internal_job import CALLBACK_TYPE
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.ports import AuditTrail, PayloadStore
from jobfleet_contracts.state import Status
from jobfleet_contracts.value_coder import NO_CODER, ValueCoder
from jobfleet_protocol.actions.final_result import delivery_payload
from jobfleet_protocol.actions.submission import request_of
from jobfleet_protocol.reading.attempts import Attempt, ends_attempt, error_of, response_of
from jobfleet_protocol.reading.job_record import JobRecord
from jobfleet_protocol.reading.masking_turns import in_turn, in_turns, texts_of
from jobfleet_protocol.reading.page_bytes import MAX_PAGE_BYTES, first_of_page, last_of_page
from jobfleet_protocol.reading.readable_trail import ReadableTrail
from jobfleet_protocol.trail.large_data import is_stored_apart, resolve
from jobfleet_protocol.trail.tombstone import is_tombstone

MAX_EVENTS = 1000
"""History rows in one answer."""
_MAX_PAGES = 20
"""History pages that one request for attempts looks through."""
_EVENTS_CURSOR = CursorForm("([ab])([0-9]{1,10})")
_LIFECYCLE_CURSOR = CursorForm("l([0-9]{1,10})")
_ATTEMPTS_CURSOR = CursorForm(r"([0-9]{1,10})(?:\.([0-9]{1,10}))?")
_FAILURES = frozenset({Status.ATTEMPT_FAILED, Status.FAILED, Status.TIMED_OUT, Status.TAKEN_OVER})
_ANSWERS = frozenset({Status.COMPLETED, Status.ATTEMPT_FAILED, Status.FAILED, Status.TIMED_OUT})


class JobReader:
    """Questions about one job, answered from the trail alone; strongly consistent."""

    def __init__(
        self, *, trail: AuditTrail, payloads: PayloadStore, coder: ValueCoder = NO_CODER
    ) -> None:
        self._coder = coder
        self._trail = ReadableTrail(trail)
        self._payloads = payloads

    async def newest(self, job_id: str) -> Event:
        """Return the last event, masked: one request for one row.

        Raises:
            UnknownJob: no trail.
        """
        event = await self._trail.newest(job_id)
        if event is None:
            raise UnknownJob(f"no job {job_id}")
        return (await self._shown([event]))[0]

    async def read(self, job_id: str, *, known: JobRecord | None = None) -> JobRecord:
        """Return the whole record, in a number of requests that no history exceeds.

        Some twenty requests, 1,000 rows and five values; for a job with more than 1,000 events also
        1,000 lifecycle events, in at most 64 requests.

        Args:
            known: this job's record of a while ago; only rows after it are read then.

        Raises:
            UnknownJob: no trail.
            BackendUnavailable: the trail or a large value cannot be read.
        """
        head = await self.newest(job_id)
        if known is not None and (is_tombstone(head) or head.sequence < known.last_sequence):
            known = None  # its history was removed
        shown = await self._newest_events(job_id, head, known)
        lifecycle = await self._lifecycle(shown, known)
        events = [event for event in shown if event.is_readable]
        milestones = [event for event in lifecycle if event.is_readable]
        oldest, newest = shown[0], events[-1] if events else shown[-1]
        ended = _ending(milestones) if newest.after.state.is_terminal else None
        values = _Values(self._payloads, self._coder)
        record = JobRecord(
            newest=newest,
            request=known.request if known else await self._request(oldest, values),
            events=shown,
            older=None if oldest.sequence == 1 else f"b{oldest.sequence}",
            lifecycle=lifecycle,
            lifecycle_older=_lifecycle_cursor(lifecycle),
            started_at=await self._started_at(milestones),
            completed_at=None if ended is None else ended.occurred_at,
            result=await _result(ended, values),
            last_error=await _last(milestones, _FAILURES, error_of, values),
            last_response=await _last(milestones, _ANSWERS, response_of, values),
            checkpoint=await _checkpoint(events, values),
        )
        return replace(record, callback_conflict=await self._callback_conflict(record, values))

    async def events(
        self, job_id: str, *, cursor: str | None = None, limit: int = MAX_EVENTS
    ) -> Page[Event]:
        """Return a page of the history, oldest first within the page.

        A page ends with the event that brings it to 1 MiB.

        Args:
            cursor: ``a12``: those after sequence 12 (``None``: from the first), going on to newer
                ones; ``b12``: those right before 12, going on to older ones.

        Raises:
            InvalidRequest: this list did not return the cursor.
            UnknownJob: no trail.
        """
        direction, sequence = _cursor(cursor)
        if direction == "b":
            found = last_of_page(await self._trail.history(job_id, before=sequence, limit=limit))
            more = bool(found) and found[0].sequence > 1
            return Page(await self._shown(found), f"b{found[0].sequence}" if more else None)
        found = await self._trail.history(job_id, after=sequence, limit=limit)
        if not found:
            await self.newest(job_id)
        shown = first_of_page(found)
        more = len(found) == limit or len(shown) < len(found)
        return Page(await self._shown(shown), f"a{shown[-1].sequence}" if more else None)

    async def lifecycle(
        self, job_id: str, *, cursor: str | None = None, limit: int = MAX_EVENTS
    ) -> Page[Event]:
        """Return a page of the events that are not steps, oldest first within the page.

        The first page holds the newest ones, its ``next`` leads to older ones. A page may be
        shorter than ``limit``.

        Raises:
            InvalidRequest: this list did not return the cursor.
            UnknownJob: no trail.
        """
        if cursor is None:
            last = (await self.newest(job_id)).newest_lifecycle
        else:
            last = int(_LIFECYCLE_CURSOR.parts(cursor)[0])
        found = await self._shown(await self._trail.lifecycle(job_id, last=last, limit=limit))
        if not found:
            await self.newest(job_id)
        return Page(found, _lifecycle_cursor(found))

    async def attempts(
        self, job_id: str, *, cursor: str | None = None, limit: int = 100
    ) -> Page[Attempt]:
        """Return attempts, first one first.

        A page ends with the attempt that brings it to 1 MiB, and looks through at most 20,000
        events.

        Raises:
            InvalidRequest: this list did not return the cursor.
            UnknownJob: no trail.
        """
        after, attempt = await self._resume(job_id, cursor)
        attempts: list[Attempt] = []
        size = 0
        for _ in range(_MAX_PAGES):
            events = await self._trail.history(job_id, after=after, limit=MAX_EVENTS)
            for event in events:
                after = event.sequence
                attempt, closed = await self._fold(attempt, event)
                attempts += closed
                size += sum(len(encode(each.to_json())) for each in closed)
                if len(attempts) == limit or size >= MAX_PAGE_BYTES:
                    return Page(attempts, _attempts_cursor(after, attempt))
            if len(events) < MAX_EVENTS:
                if after == 0:
                    await self.newest(job_id)
                return Page(attempts if attempt is None else [*attempts, attempt])
        return Page(attempts, _attempts_cursor(after, attempt))

    async def _fold(
        self, attempt: Attempt | None, event: Event
    ) -> tuple[Attempt | None, Sequence[Attempt]]:
        """Return the attempt that is open after the event, and the one that it closed."""
        if not event.is_readable:
            return attempt, ()
        if event.kind is Status.STARTED:
            return Attempt.started(event), ()
        if attempt is None or not ends_attempt(event):
            return attempt, ()
        return None, (attempt.ended(await _whole(event, self._payloads, self._coder)),)

    async def _resume(self, job_id: str, cursor: str | None) -> tuple[int, Attempt | None]:
        after, opened = ("0", None) if cursor is None else _ATTEMPTS_CURSOR.parts(cursor)
        start = await self._trail.read(job_id, int(opened)) if opened else None
        return int(after), None if start is None else Attempt.started(start)

    async def _newest_events(
        self, job_id: str, head: Event, known: JobRecord | None
    ) -> Sequence[Event]:
        if known is not None:
            seen = known.last_sequence
            after = head.sequence - seen
            if after == 0:
                return known.events
            if after <= MAX_EVENTS:
                later = await self._trail.history(job_id, after=seen, limit=after)
                return (*known.events, *await self._shown(later))[-MAX_EVENTS:]
        events = await self._trail.history(job_id, before=head.sequence + 1, limit=MAX_EVENTS)
        return await self._shown(events) or [head]

    async def _lifecycle(self, shown: Sequence[Event], known: JobRecord | None) -> Sequence[Event]:
        """Return the lifecycle events; only those before ``shown`` cost requests."""
        oldest = shown[0].sequence
        found = tuple(event for event in shown if not event.is_step)
        if known is not None and known.last_sequence >= oldest:
            earlier = [event for event in known.lifecycle if event.sequence < oldest]
            return (*earlier, *found)[-MAX_EVENTS:]
        names_it = next((event for event in shown if event.is_readable), None)
        last = 0 if names_it is None else min(names_it.after.lifecycle_before, oldest - 1)
        room = MAX_EVENTS - len(found)
        if last == 0 or room == 0:
            return found
        before = await self._trail.lifecycle(shown[0].job_id, last=last, limit=room)
        return (*await self._shown(before), *found)

    async def _request(self, oldest: Event, values: _Values) -> JobRequest | None:
        opening = oldest if oldest.sequence == 1 else await self._opening(oldest.job_id)
        if not opening.is_readable:
            return None
        try:
            return request_of(_without_labels(await values.of(opening)))
        except (ValueError, KeyError, TypeError):
            return None

    async def _callback_conflict(self, record: JobRecord, values: _Values) -> str | None:
        """Say so if another job has the id of the one that should deliver the result."""
        callback_id, newest = record.callback_job_id, record.newest
        if callback_id is None:
            return None
        opening = await self._trail.read(callback_id, 1)
        if opening is None or not opening.is_readable:
            return None
        wanted = delivery_payload(newest.job_id, newest.after.incarnation)
        try:
            found = request_of(await values.of(opening))
        except (DataMissing, ValueError, KeyError, TypeError):
            return None
        removed = is_tombstone(opening)
        if found.type == CALLBACK_TYPE and (removed or found.payload == wanted):
            return None
        return f"the result is not delivered: another job has the id {callback_id} of its delivery"

    async def _shown(self, events: Sequence[Event]) -> list[Event]:
        return await in_turns(partial(shown, coder=self._coder), events, texts_of)

    async def _opening(self, job_id: str) -> Event:
        event = await self._trail.read(job_id, 1)
        if event is None:
            raise UnknownJob(f"no job {job_id}")
        return event

    async def _started_at(self, events: Sequence[Event]) -> datetime | None:
        if not events:
            return None
        after = events[-1].after
        if after.attempt == 0 or is_tombstone(events[0]):
            return None
        for event in reversed(events):
            if event.kind is Status.STARTED and event.after.incarnation == after.incarnation:
                return event.occurred_at
        start = await self._first_of_epoch(events[0])
        return start.occurred_at

    async def _first_of_epoch(self, later: Event) -> Event:
        """Return where the epoch of ``later`` begins; epochs never fall, so halving finds it."""
        low, high, found = 1, later.sequence, later
        while low < high:
            middle = (low + high) // 2
            event = await self._trail.read(later.job_id, middle)
            if event is not None and not event.is_readable:
                return later  # the next best that can be read
            if event is not None and event.after.epoch >= later.after.epoch:
                high, found = middle, event
            else:
                low = middle + 1
        return found


class _Values:
    """Large values of one job, each read and decoded once: some have megabytes."""

    def __init__(self, payloads: PayloadStore, coder: ValueCoder) -> None:
        self._payloads = payloads
        self._coder = coder
        self._known: dict[str, Event] = {}

    async def of(self, event: Event) -> Event:
        if event.event_id not in self._known:
            self._known[event.event_id] = await _whole(event, self._payloads, self._coder)
        return self._known[event.event_id]


async def _whole(event: Event, payloads: PayloadStore, coder: ValueCoder) -> Event:
    """Return an event as it is shown, with its large data."""
    whole = await resolve(event, payloads)
    return await in_turn(partial(shown, coder=coder), whole, texts_of(whole))


async def _result(ended: Event | None, values: _Values) -> Any:
    if ended is None or ended.kind is not Status.COMPLETED:
        return None
    return (await values.of(ended)).data.get("result")


async def _last(
    events: Sequence[Event],
    kinds: frozenset[Status],
    read: Callable[[Event], Any],
    values: _Values,
) -> Any:
    """Return what the newest event of these kinds has to tell; looks into five at most."""
    candidates = [event for event in reversed(events) if event.kind in kinds][:5]
    for event in candidates:
        found = read(await values.of(event))
        if found is not None:
            return found
    return None


async def _checkpoint(events: Sequence[Event], values: _Values) -> Any:
    if not events:
        return None
    incarnation = events[-1].after.incarnation
    for event in reversed(events):
        if event.after.incarnation != incarnation:
            return None
        # Data stored apart show no names: they are read to learn whether a checkpoint is in them.
        if event.kind is Status.STEP and ("checkpoint" in event.data or is_stored_apart(event)):
            return (await values.of(event)).data.get("checkpoint")
    return None


def _ending(events: Sequence[Event]) -> Event | None:
    """Return the terminal event, which only a dismissal may follow."""
    return next((event for event in reversed(events) if event.kind is not Status.DISMISSED), None)


def _without_labels(opening: Event) -> Event:
    """Drop labels from successors: a text takes no results, and no page shows it."""
    request = opening.data.get("request")
    if not isinstance(request, Mapping) or not request.get("then"):
        return opening
    return replace(opening, data=opening.data | {"request": _without_step_labels(request)})


def _without_step_labels(data: Mapping[str, Any]) -> dict[str, Any]:
    steps = [_without_step_labels(step) for step in data.get("then") or ()]
    for step in steps:
        if is_label(step.get("payload")):
            del step["payload"]
    return dict(data) | ({"then": steps} if steps else {})


def shown(event: Event, coder: ValueCoder) -> Event:
    """Return an event as a job's page may show it: decoded if it can be, then masked."""
    return coder.opened(event).masked()


def _lifecycle_cursor(found: Sequence[Event]) -> str | None:
    older = found[0].after.lifecycle_before if found else 0
    return f"l{older}" if older else None


def _cursor(cursor: str | None) -> tuple[str, int]:
    if cursor is None:
        return "a", 0
    direction, digits = _EVENTS_CURSOR.parts(cursor)
    return direction, int(digits)


def _attempts_cursor(after: int, attempt: Attempt | None) -> str:
    return f"{after}" if attempt is None else f"{after}.{attempt.opened}"
