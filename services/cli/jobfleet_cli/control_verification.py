"""Checks the control log: its own rules, and that the jobs it promises stand in the trail."""

from __future__ import annotations

from jobfleet_cli.answer import print_json
from jobfleet_cli.session import Session
from jobfleet_cli.terminal_text import visible
from jobfleet_protocol.audit.control_check import (
    ControlViolation,
    check_control_log,
    jobs_promised,
)


class ControlVerification:
    """Reads one log after the other.

    Attributes:
        entries: how many were read.
        violations: what is wrong; complete after :meth:`finish`.
    """

    def __init__(self) -> None:
        self.entries = 0
        self.violations: list[ControlViolation] = []
        self._promised: dict[str, ControlViolation] = {}

    async def read(self, session: Session) -> None:
        """Read the whole control log, before the trail is read: jobs come after their entries."""
        async for log in session.backend.control_log.scan():
            self.entries += len(log)
            self.violations += check_control_log(log)
            for entry, job_id in jobs_promised(log):
                message = f"its job {job_id} is not in the trail"
                self._promised[job_id] = ControlViolation(
                    entry.subject, entry.name, entry.sequence, message
                )

    def saw(self, job_id: str) -> None:
        """Take note that a job stands in the trail."""
        self._promised.pop(job_id, None)

    async def finish(self, session: Session) -> None:
        """Ask the trail for each promised job that the scan did not show."""
        for job_id, violation in self._promised.items():
            if await session.backend.trail.read(job_id, 1) is None:
                self.violations.append(violation)

    def print(self, *, as_json: bool) -> None:
        """Print each finding as one line."""
        for found in self.violations:
            print_json(found.to_json()) if as_json else print(_line(found))


def _line(found: ControlViolation) -> str:
    where = f"{found.subject} {found.name}  entry {found.sequence}"
    return f"VIOLATION  {where}: {visible(found.message)}"
