"""Writes the index anew from the trail."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from datetime import timedelta

from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.session import Session
from jobfleet_contracts.event import UNREADABLE, Event
from jobfleet_contracts.index import OpenRow
from jobfleet_contracts.ports import AuditTrail, JobIndex
from jobfleet_protocol.actions.submission import ORPHANED_ROW_AGE
from jobfleet_protocol.trail.tombstone import is_tombstone

AT_ONCE = 2000
"""Rows queued before waiting for them, so that memory stays small."""

SETTLED_AFTER = timedelta(minutes=10)
"""Endings of an hour that ended so long ago are counted anew: nobody writes them any more."""


async def rebuild_index(session: Session) -> ExitCode:
    """Write timeline and open rows of every job; never removes the open row of a live job.

    Open rows whose event never came are removed after an hour: their submitter may still write it.

    A job that moves on meanwhile writes newer rows itself, which older ones never replace.
    """
    settled = session.clock.now() - SETTLED_AFTER
    await session.backend.index.recount(before=settled.replace(minute=0, second=0, microsecond=0))
    jobs = events = 0
    queued: list[Awaitable[None]] = []
    async for history in session.backend.trail.scan():
        queued += await _rebuild_job(session.backend.index, history)
        jobs, events = jobs + 1, events + len(history)
        if len(queued) >= AT_ONCE:
            await asyncio.gather(*queued)
            queued.clear()
    await asyncio.gather(*queued)
    await session.backend.index.flush()
    await _discard_rows_without_event(session)
    print(f"{jobs} jobs, {events} events written to the index", file=sys.stderr)
    return ExitCode.DONE


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
        told = f"{removed} removed, {left} younger than an hour left"
        print(f"open rows without their event: {told}", file=sys.stderr)


async def _has_event(row: OpenRow, trail: AuditTrail) -> bool:
    head = await trail.newest(row.facts.job_id)
    return head is not None and head.after.incarnation >= row.incarnation


async def _rebuild_job(index: JobIndex, history: Sequence[Event]) -> list[Awaitable[None]]:
    if is_tombstone(history[-1]):
        return []
    last = history[-1]
    history = [event for event in history if event.status != UNREADABLE]
    if last.status == UNREADABLE:  # where the job stands is not known
        return [index.record(history)]
    ended = last.after.incarnation
    if not last.after.state.is_terminal:
        await index.open(_open_row(history))
        ended -= 1
    writes = [index.record(history)]
    return writes + [index.close(last.job_id, number + 1) for number in range(ended)]


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
