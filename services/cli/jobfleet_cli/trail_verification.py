"""Checks the stored trail, and reports how far the index has drifted from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from jobfleet_cli.answer import print_json
from jobfleet_cli.control_verification import ControlVerification
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.session import Session
from jobfleet_cli.terminal_text import visible
from jobfleet_cli.trail_reading import histories, history_of, known_form
from jobfleet_contracts.errors import DataMissing, UnknownJob
from jobfleet_contracts.event import Event
from jobfleet_protocol.audit.chain_check import violation
from jobfleet_protocol.audit.heads import Head, HeadsCheck
from jobfleet_protocol.audit.index_drift import DriftCheck
from jobfleet_protocol.audit.verification import RULES, Note, Verifier, Violation
from jobfleet_protocol.reading.readable_trail import ReadableTrail
from jobfleet_protocol.trail.large_data import resolve
from jobfleet_protocol.trail.tombstone import is_tombstone

SETTLED = timedelta(seconds=10)
"""Younger events may still be on their way into the index."""
FOLLOWED = timedelta(minutes=10)
"""What follows a younger end may still be submitted by the rescuer."""
BEGUN = timedelta(minutes=1)
"""A younger open row may still wait for the event that it announces."""


class TrailVerification:
    """One call of ``audit verify``."""

    def __init__(
        self,
        *,
        job_id: str | None,
        count_drift: bool,
        fetch_data: bool,
        heads: Sequence[Head] | None,
        as_json: bool,
    ) -> None:
        self._job_id = None if job_id is None else known_form(job_id)
        self._count_drift = count_drift
        self._fetch_data = fetch_data
        self._heads = None if heads is None else HeadsCheck(heads)
        self._as_json = as_json
        self._control = ControlVerification()

    async def run(self, session: Session) -> ExitCode:
        """Print every finding and a summary; exit 1 where a rule is broken.

        Raises:
            UnknownJob: no trail exists for the job that was named.
        """
        verifier = Verifier(one_job=self._job_id is not None)
        now = session.clock.now()
        drift = DriftCheck(settled_before=now - SETTLED, begun_before=now - BEGUN)
        if self._job_id is None:
            await self._control.read(session)
        await self._read(session, verifier, drift)
        await self._control.finish(session)
        verifier.violations.add(self._control.broken)
        found = verifier.finish(settled_before=now - FOLLOWED)
        print_findings(found, "VIOLATION", as_json=self._as_json)
        print_findings(verifier.notes.kept, "note", as_json=self._as_json)
        self._control.print(as_json=self._as_json)
        if self._job_id is None:
            differences = await drift.compare(session.backend.reader, session.backend.trail)
            print_findings(differences, "drift", as_json=self._as_json)
        self._summary(verifier, drift.differences.total)
        broken = verifier.violations.total + len(self._control.violations)
        bad = broken or (self._count_drift and drift.differences.total)
        return ExitCode.NO if bad else ExitCode.DONE

    async def _read(self, session: Session, verifier: Verifier, drift: DriftCheck) -> None:
        trail = session.backend.trail
        async for history in histories(trail, self._job_id):
            verifier.add(await self._whole(session, verifier, history))
            drift.add(history)
            if history and self._job_id is None:
                self._control.saw(history)
            if self._heads is not None:
                verifier.violations.add(self._heads.compare(history))
        if self._heads is not None:
            verifier.violations.add(self._heads.missing(only=self._job_id))
        if self._job_id is not None:
            return
        await verifier.read_marks(session.backend.marks)
        for doubtful in verifier.doubtful():
            try:
                verifier.add_again(await history_of(trail, doubtful))
            except UnknownJob:
                continue  # its retention ended meanwhile

    async def _whole(
        self, session: Session, verifier: Verifier, history: Sequence[Event]
    ) -> Sequence[Event]:
        """Return the history with its data, as far as they were asked for and still exist."""
        if not self._fetch_data:
            return history
        whole: list[Event] = []
        for event in history:
            try:
                whole.append(await resolve(event, session.backend.payloads))
            except DataMissing as error:
                newest = await ReadableTrail(session.backend.trail).newest(event.job_id)
                if newest is not None and is_tombstone(newest):
                    return []  # the retention removes the job at this moment
                verifier.violations.add([violation(event, str(error))])
                whole.append(event)
        return whole

    def _summary(self, verifier: Verifier, differences: int) -> None:
        counts = {
            "jobs": verifier.jobs,
            "events": verifier.events,
            "violations": verifier.violations.total + len(self._control.violations),
            "notes": verifier.notes.total,
            "drift": differences,
        }
        if self._control.entries:
            counts["controlEntries"] = self._control.entries
        if self._heads is not None:
            counts["removedHeads"] = self._heads.removed
        if self._as_json:
            print_json(counts)
        else:
            print(", ".join(f"{count} {name}" for name, count in counts.items()))


def print_findings(findings: Iterable[Violation | Note], mark: str, *, as_json: bool) -> None:
    """Print each finding as one line."""
    for found in findings:
        print_json(found.to_json()) if as_json else print(_line(found, mark))


def _line(found: Violation | Note, mark: str) -> str:
    event = f"event {found.sequence or '?'} {found.event_id or ''}".strip()
    rule = f"rule {found.rule} ({RULES[found.rule]})"
    return visible(f"{mark}  job {found.job_id}  {event}  {rule}: {found.message}")
