"""Checks the control log: its own rules, and that the jobs it promises are in the trail."""

from __future__ import annotations

from collections.abc import Sequence

from jobfleet_cli.answer import print_json
from jobfleet_cli.session import Session
from jobfleet_cli.terminal_text import visible
from jobfleet_contracts.control import ControlSubject
from jobfleet_contracts.event import Event
from jobfleet_contracts.field_checks import is_canonical_uuid
from jobfleet_protocol.audit.control_check import (
    ControlViolation,
    check_control_log,
    jobs_promised,
)
from jobfleet_protocol.audit.limit_check import LimitCheck, SlotStart
from jobfleet_protocol.audit.verification import KEPT_FINDINGS
from jobfleet_protocol.audit.violation import Violation
from jobfleet_protocol.reading.readable_trail import ReadableTrail

LONGEST_LOG = 1_000_000


class ControlVerification:
    """Reads one log after the other.

    Attributes:
        entries: how many were read.
        violations: what is wrong; complete after :meth:`finish`.
        broken: starts of jobs in slots that a limit did not have; complete likewise.
    """

    def __init__(self) -> None:
        self.entries = 0
        self.violations: list[ControlViolation] = []
        self.broken: list[Violation] = []
        self._promised: dict[str, ControlViolation] = {}
        self._limits = LimitCheck()
        self._doubtful: list[SlotStart] = []

    async def read(self, session: Session) -> None:
        """Read the whole control log, before the trail is read: jobs come after their entries."""
        async for log in session.backend.control_log.scan():
            self.entries += len(log)
            self.violations += check_control_log(log)
            if log[0].subject is ControlSubject.LIMIT:
                self._limits.add(log)
            for entry, job_id in jobs_promised(log):
                message = f"its job {job_id} is not in the trail"
                self._promised[job_id] = ControlViolation(
                    entry.subject, entry.name, entry.sequence, message
                )

    def saw(self, history: Sequence[Event]) -> None:
        """Take note that a job is in the trail, and how it started."""
        self._promised.pop(history[0].job_id, None)
        room = KEPT_FINDINGS - len(self._doubtful)
        self._doubtful += list(self._limits.doubtful(history))[:room]

    async def finish(self, session: Session) -> None:
        """Ask the trail for each promised job that the scan did not show.

        Limits are read again: one may have been raised while the trail was read.
        """
        await self._judge_starts(session)
        for job_id, violation in self._promised.items():
            if not await _is_stored(session, job_id):
                self.violations.append(violation)

    async def _judge_starts(self, session: Session) -> None:
        log = session.backend.control_log
        for name in {start.limit for start in self._doubtful}:
            if entries := await log.history(ControlSubject.LIMIT, name, limit=LONGEST_LOG):
                self._limits.add(entries[::-1])
        for start in self._doubtful:
            if not self._limits.allows(start):
                self.broken.append(self._limits.violation(start))

    def print(self, *, as_json: bool) -> None:
        """Print each finding as one line."""
        for found in self.violations:
            print_json(found.to_json()) if as_json else print(_line(found))


async def _is_stored(session: Session, job_id: str) -> bool:
    """Whether the job has a first event; an edited entry may promise what is no id at all."""
    if not is_canonical_uuid(job_id):
        return False
    return await ReadableTrail(session.backend.trail).read(job_id, 1) is not None


def _line(found: ControlViolation) -> str:
    where = f"{found.subject} {found.name}  entry {found.sequence}"
    return visible(f"VIOLATION  {where}: {found.message}")
