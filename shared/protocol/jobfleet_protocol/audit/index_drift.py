"""Rule 11: does the index, a copy, still say what the trail says."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from datetime import datetime

from jobfleet_contracts.event import UNREADABLE, Event
from jobfleet_contracts.index import EventQuery, OpenRow
from jobfleet_contracts.ports import AuditTrail, JobIndexReader
from jobfleet_contracts.state import TERMINAL, Status
from jobfleet_protocol.audit.fingerprints import Fingerprints, Place
from jobfleet_protocol.audit.violation import Findings, Violation
from jobfleet_protocol.trail.erased_values import is_unfinished
from jobfleet_protocol.trail.tombstone import is_tombstone

KEPT_DIFFERENCES = 1000
PAGE = 1000


class DriftCheck:
    """Takes the trail job by job, then compares the index with it.

    Before a difference is reported the trail is asked again, since the fleet may be at work.
    Memory: 33 bytes an event, about 100 a job and 250 an open job.

    Args:
        settled_before: later events are not expected in the index yet; ``None``: all are.
        begun_before: an open row of an earlier time has its event; ``None``: every row has.
    """

    def __init__(
        self,
        *,
        settled_before: datetime | None = None,
        begun_before: datetime | None = None,
        keep: int = KEPT_DIFFERENCES,
    ) -> None:
        self.differences: Findings[Violation] = Findings(keep=keep)
        self._settled_before = settled_before
        self._begun_before = begun_before
        self._fingerprints = Fingerprints()
        self._open: dict[str, int] = {}
        self._unknown: set[str] = set()

    def add(self, history: Sequence[Event]) -> None:
        """Take one job's complete history, oldest first; the index holds no removed ones."""
        if not history or is_tombstone(history[-1]):
            return
        newest = history[-1]
        # The index of some backends lists an erased job by its last event only.
        self._fingerprints.add(history[-1:] if newest.status == Status.ERASED else history)
        if newest.status == Status.ERASED:
            if is_unfinished(history):
                self._open[newest.job_id] = newest.after.incarnation + 1
        elif newest.status == UNREADABLE:
            self._unknown.add(newest.job_id)
        elif newest.after.state not in TERMINAL:
            self._open[newest.job_id] = newest.after.incarnation

    async def compare(self, reader: JobIndexReader, trail: AuditTrail) -> list[Violation]:
        """Read the whole index and return the differences that were kept.

        Raises:
            BackendUnavailable: storage does not answer.
        """
        await self._compare_timeline(reader, trail)
        await self._compare_open_rows(reader, trail)
        return self.differences.kept

    async def _compare_timeline(self, reader: JobIndexReader, trail: AuditTrail) -> None:
        tally = self._fingerprints.tally()
        cursor: str | None = None
        while True:
            page = await reader.events(EventQuery(limit=PAGE, cursor=cursor))
            for event in page.items:
                times = tally.tick(event)
                if times == 0:
                    await self._report_extra(event, trail)
                elif times > 1:
                    self._report(event, "stands in the timeline more than once")
            cursor = page.next
            if cursor is None:
                break
        for place in tally.unticked():
            await self._report_missing(place, trail)

    async def _report_extra(self, event: Event, trail: AuditTrail) -> None:
        stored = await _readable(trail.read(event.job_id, event.sequence))
        if stored is None or stored.event_id != event.event_id:
            self._report(event, f"{event.status} is in the timeline but not in the trail")

    async def _report_missing(self, place: Place, trail: AuditTrail) -> None:
        event = None
        if not self.differences.is_full:
            event = await _readable(trail.read(place.job_id, place.sequence))
        if event is not None and self._is_unsettled(event):
            return
        event_id = None if event is None else event.event_id
        message = "is in the trail but not in the timeline"
        self.differences.add([Violation(11, place.job_id, place.sequence, event_id, message)])

    async def _compare_open_rows(self, reader: JobIndexReader, trail: AuditTrail) -> None:
        missing = dict(self._open)
        cursor: str | None = None
        while True:
            page = await reader.open_rows(cursor=cursor, limit=PAGE)
            for row in page.items:
                if missing.get(row.facts.job_id) == row.incarnation:
                    del missing[row.facts.job_id]
                elif self._open.get(row.facts.job_id) != row.incarnation:
                    await self._report_superfluous(row, trail)
            cursor = page.next
            if cursor is None:
                break
        for job_id, incarnation in missing.items():
            await self._report_unopened(job_id, incarnation, trail)

    async def _report_superfluous(self, row: OpenRow, trail: AuditTrail) -> None:
        if row.facts.job_id in self._unknown:
            return
        newest = await _readable(trail.newest(row.facts.job_id))
        young = self._begun_before is not None and row.opened_at >= self._begun_before
        if newest is None:
            legal = row.incarnation == 1 and young
        elif newest.status == Status.ERASED:
            legal = row.incarnation == newest.after.incarnation + 1 or self._is_unsettled(newest)
        elif newest.after.state in TERMINAL:
            next_one = row.incarnation == newest.after.incarnation + 1 and young
            legal = next_one or self._is_unsettled(newest)
        else:
            legal = row.incarnation == newest.after.incarnation
        if not legal:
            text = "has no event" if newest is None else f"says {newest.after.state}"
            message = f"open row of incarnation {row.incarnation}, but the trail {text}"
            self.differences.add([Violation(11, row.facts.job_id, None, None, message)])

    async def _report_unopened(self, job_id: str, incarnation: int, trail: AuditTrail) -> None:
        newest = await _readable(trail.newest(job_id))
        if newest is not None and newest.status == Status.ERASED:
            if is_unfinished([await trail.read(job_id, 1) or newest]):
                self._report(newest, "values are to be removed, and no open row says so")
            return
        if newest is None or newest.after.state in TERMINAL:
            return
        if newest.after.incarnation == incarnation:
            self._report(newest, f"no open row though the job is {newest.after.state}")

    def _is_unsettled(self, event: Event) -> bool:
        return self._settled_before is not None and event.occurred_at >= self._settled_before

    def _report(self, event: Event, message: str) -> None:
        self.differences.add([Violation(11, event.job_id, event.sequence, event.event_id, message)])


async def _readable(asked: Awaitable[Event | None]) -> Event | None:
    """A row that cannot be read counts as none here: rule 3 reports it."""
    try:
        return await asked
    except ValueError:
        return None
