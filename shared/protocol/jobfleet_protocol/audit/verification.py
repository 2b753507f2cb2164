"""The checker behind ``audit verify``: rules 1 to 10 and 12 to 14 of docs/verification.md.

Streaming: one job's history after the other, as ``AuditTrail.scan`` yields them. Rule 11, the
index, is :mod:`jobfleet_protocol.audit.index_drift`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from jobfleet_contracts.event import Event
from jobfleet_contracts.group_marks import GroupMarks
from jobfleet_contracts.ports import AuditTrail
from jobfleet_protocol.audit.chain_check import check_chain
from jobfleet_protocol.audit.fingerprints import Fingerprints
from jobfleet_protocol.audit.flow_ledger import FlowLedger, read_marks
from jobfleet_protocol.audit.history_check import HistoryCheck
from jobfleet_protocol.audit.turn_ledger import TurnLedger
from jobfleet_protocol.audit.violation import RULES, Findings, Note, Violation

__all__ = ["RULES", "Note", "Verifier", "Violation", "verify_job", "verify_trail"]

KEPT_FINDINGS = 10_000
PAGE = 1000


def verify_job(events: Sequence[Event]) -> list[Violation]:
    """Return what one job's complete history, oldest first, breaks of rules 1 to 8, 10 and 12.

    Rule 9 is checked for locks and the order of this job's own turns. An empty history breaks
    nothing.
    """
    return [*HistoryCheck().check(events).violations, *check_chain(events)]


class Verifier:
    """Takes histories job by job; memory: about 16 bytes an event, 300 a job and 40 a claim.

    The first 10,000 violations and notes are kept, the rest are counted.

    Attributes:
        jobs, events: how many were taken.
        violations: found so far; complete after :meth:`finish`.
        notes: what a clock explains; reported, never counted.
    """

    def __init__(self, *, keep: int = KEPT_FINDINGS, one_job: bool = False) -> None:
        """Begin.

        Args:
            one_job: only one job is looked at, so nothing is said of jobs that belong to it.
        """
        self.jobs = 0
        self.events = 0
        self.violations: Findings[Violation] = Findings(keep=keep)
        self.notes: Findings[Note] = Findings(keep=keep)
        self._fingerprints = Fingerprints()
        self._turns = TurnLedger()
        self._flows = FlowLedger()
        self._one_job = one_job

    def add(self, history: Sequence[Event]) -> None:
        """Take one job's complete history, oldest first; each job once."""
        if not history:
            return
        check = HistoryCheck().check(history)
        self.jobs += 1
        self.events += len(history)
        self.violations.add(check.violations)
        self.violations.add(check_chain(history))
        self.notes.add(check.notes)
        self._fingerprints.add(history)
        self._turns.add(check.claims)
        if not self._one_job:
            self._flows.add(history)

    async def read_marks(self, marks: GroupMarks) -> None:
        """Read the marks of all groups that were taken; before :meth:`doubtful`.

        Raises:
            BackendUnavailable: storage does not answer.
        """
        await read_marks(self._flows, marks)

    def doubtful(self) -> list[str]:
        """Return jobs to read again: in a living fleet they may have gone on by now."""
        return list(dict.fromkeys([*self._turns.doubtful(), *self._flows.doubtful()]))

    def add_again(self, history: Sequence[Event]) -> None:
        """Take the history of a doubtful job, read after all others."""
        self._turns.close(HistoryCheck().check(history).claims)
        if history:
            self._flows.add(history)

    def finish(self, *, settled_before: datetime | None = None) -> list[Violation]:
        """Check what spans jobs (rules 7, 9, 13, 14) and return all violations that were kept.

        Args:
            settled_before: what younger events ask for may be on its way; ``None``: nothing is.
        """
        self.violations.add(
            Violation(
                7,
                later.job_id,
                later.sequence,
                None,
                f"its event id stands in job {earlier.job_id}, event {earlier.sequence}, too",
            )
            for earlier, later in self._fingerprints.twins()
            if earlier.job_id != later.job_id
        )
        self.violations.add(self._turns.violations())
        self.violations.add(self._flows.violations(settled_before=settled_before))
        self.notes.add(self._turns.notes())
        return self.violations.kept


async def verify_trail(trail: AuditTrail, *, job_id: str | None = None) -> Verifier:
    """Verify all that is stored, or one job; the fleet may be at work meanwhile.

    Returns:
        The finished verifier; ``jobs`` is 0 where the job is unknown.

    Raises:
        BackendUnavailable: storage does not answer.
    """
    verifier = Verifier(one_job=job_id is not None)
    if job_id is not None:
        verifier.add(await complete_history(trail, job_id))
    else:
        async for history in trail.scan():
            verifier.add(history)
        for doubtful in verifier.doubtful():
            verifier.add_again(await complete_history(trail, doubtful))
    verifier.finish()
    return verifier


async def complete_history(trail: AuditTrail, job_id: str) -> list[Event]:
    """Read all events of a job, oldest first, a thousand at a time."""
    events: list[Event] = []
    while page := await trail.history(
        job_id, after=events[-1].sequence if events else 0, limit=PAGE
    ):
        events.extend(page)
    return events
