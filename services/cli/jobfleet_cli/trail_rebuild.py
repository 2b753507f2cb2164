"""Writes the index anew from the trail, and the jobs that an ending owes if they are missing."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from datetime import timedelta

from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.session import Session
from jobfleet_cli.terminal_text import visible
from jobfleet_contracts.errors import DataMissing
from jobfleet_contracts.event import UNREADABLE, Event
from jobfleet_contracts.index import OpenRow
from jobfleet_contracts.ports import AuditTrail, JobIndex
from jobfleet_contracts.state import Status
from jobfleet_protocol.actions.erasure import Eraser
from jobfleet_protocol.actions.submission import ORPHANED_ROW_AGE, request_of
from jobfleet_protocol.trail.erased_values import is_unfinished, is_withdrawn
from jobfleet_protocol.trail.large_data import resolve
from jobfleet_protocol.trail.tombstone import is_tombstone

AT_ONCE = 2000
"""Rows queued before waiting for them, so that memory stays small."""
ALL_IS_SETTLED = timedelta(days=1)
"""Later than the endings of any fleet, clocks that go ahead included."""

_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError)
"""What reading a request raises that was edited by hand."""


async def rebuild_index(session: Session, *, is_alone: bool = False) -> ExitCode:
    """Write timeline and open rows of every job; never removes the open row of a live job.

    Callback jobs and successors of ended jobs are submitted if they are missing.

    Open rows whose event never came are removed after an hour: their submitter may still write it.

    A job whose first event was edited until it holds no request is named on standard error; its
    rows are written, what follows it is not submitted, and the answer is exit 1.

    A job that moves on meanwhile writes newer rows itself, which older ones never replace.

    Args:
        is_alone: the fleet is sealed and nothing else writes, so endings of the last hour are
            counted here too.
    """
    now = session.clock.now()
    await session.backend.index.begin_rebuild(now=now + ALL_IS_SETTLED if is_alone else now)
    jobs = events = strange = 0
    queued: list[Awaitable[None]] = []
    async for history in session.backend.trail.scan():
        try:
            # First what an ended job owes: without its open row the rescuer would not see to it.
            await _submit_followers(session, history)
        except _UNREADABLE as error:
            strange += 1
            text = f"job {history[0].job_id}: what follows it is not known: {error!r}"
            print(visible(text), file=sys.stderr)
        queued += await _rebuild_job(session.backend.index, session.writes.eraser, history)
        jobs, events = jobs + 1, events + len(history)
        if len(queued) >= AT_ONCE:
            await asyncio.gather(*queued)
            queued.clear()
    await asyncio.gather(*queued)
    await session.backend.index.flush()
    await _discard_rows_without_event(session)
    print(f"{jobs} jobs, {events} events written to the index", file=sys.stderr)
    return ExitCode.NO if strange else ExitCode.DONE


async def _discard_rows_without_event(session: Session) -> None:
    backend, removed, left = session.backend, 0, 0
    cursor: str | None = None
    while True:
        page = await backend.reader.open_rows(cursor=cursor)
        for row in page.items:
            if row.is_confirmed or await _has_event(row, backend.trail):
                continue
            if session.clock.now() - row.opened_at > ORPHANED_ROW_AGE:
                await backend.index.discard(row)
                removed += 1
            else:
                left += 1
        cursor = page.next
        if cursor is None:
            break
    if removed or left:
        message = f"{removed} removed, {left} younger than an hour left"
        print(f"open rows without their event: {message}", file=sys.stderr)


async def _has_event(row: OpenRow, trail: AuditTrail) -> bool:
    head = await trail.newest(row.facts.job_id)
    if head is None:
        return False
    # The note of an erasure: the values that are to be removed stand until it is done.
    erasing = head.status == Status.ERASED and row.incarnation == head.after.incarnation + 1
    return erasing or head.after.incarnation >= row.incarnation


async def _rebuild_job(
    index: JobIndex, eraser: Eraser, history: Sequence[Event]
) -> list[Awaitable[None]]:
    if is_tombstone(history[-1]):
        return []
    last = history[-1]
    history = [event for event in history if event.status != UNREADABLE]
    if last.status == UNREADABLE:  # where the job stands is not known
        return [index.record(history)]
    ended = last.after.incarnation
    if last.status == Status.ERASED and is_unfinished(history):
        await index.open(eraser.note_of(last))
    if not last.after.state.is_terminal:
        await index.open(_open_row(history))
        ended -= 1
    writes = [index.record(history)]
    return writes + [index.close(last.job_id, number + 1) for number in range(ended)]


async def _submit_followers(session: Session, history: Sequence[Event]) -> None:
    """Submit again what follows each ending; what stands already is the same job."""
    if history[0].status == UNREADABLE or is_withdrawn(history[-1]):
        return
    endings = [event for event in history if event.is_readable and _is_ending(event)]
    if not endings:
        return
    if history[0].sequence != 1:
        raise ValueError(f"its first event is event {history[0].sequence}")
    try:
        request = request_of(await resolve(history[0], session.backend.payloads))
    except DataMissing:
        return  # with it is lost what follows
    if request.has_followers:
        for ending in endings:
            await session.writes.ending.submit_followers(ending, request)


def _is_ending(event: Event) -> bool:
    return event.after.state.is_terminal and event.kind not in (Status.DISMISSED, Status.ERASED)


def _open_row(history: Sequence[Event]) -> OpenRow:
    """The row as the open incarnation's first writer made it, with what has come since."""
    last = history[-1]
    opening = next(e for e in history if e.after.incarnation == last.after.incarnation)
    row = OpenRow(
        facts=last.facts,
        incarnation=last.after.incarnation,
        state=last.after.state,
        sequence=last.sequence,
        opened_at=opening.occurred_at,
        updated_at=last.occurred_at,
    )
    return replace(row, lock=last.after.lock, due_at=last.after.due_at, sent=last.after.sent)
