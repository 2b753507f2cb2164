"""``jobfleet audit export --move``: seals the fleet and writes all of it into one file."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.move_check import check_move
from jobfleet_cli.output_file import Output, write_out
from jobfleet_cli.session import Session, who
from jobfleet_cli.terminal_text import visible
from jobfleet_cli.trail_verification import print_findings
from jobfleet_contracts.job_id import new_id
from jobfleet_protocol.moving.move_file import MoveWriter
from jobfleet_protocol.moving.move_out import MoveOut

OUT = "--out"


class MoveExport:
    """One call of ``audit export --move``."""

    def __init__(self, *, out: Path, reason: str, wait_seconds: float) -> None:
        self._out = out
        self._reason = reason
        self._wait_seconds = wait_seconds

    async def run(self, session: Session) -> ExitCode:
        """Seal, wait, write, and check the file; it appears under its name when all is in it.

        Exit 1 if something could not be copied, or breaks a rule of ``audit verify``.

        Raises:
            ActionRefused: a job ran on for too long. The fleet stays sealed.
        """
        backend = session.backend
        move = MoveOut(
            source=backend.name,
            trail=backend.trail,
            payloads=backend.payloads,
            leases=backend.leases,
            locks=backend.locks,
            control_log=backend.control_log,
            rates=backend.rates,
            logs=backend.logs,
            transactions=backend.transactions,
            writer=session.writes.writer,
            clock=session.clock,
            wait_seconds=self._wait_seconds,
            on_wait=_tell,
        )
        by = who()
        _tell("sealing the fleet: it takes no jobs and starts none from now on")
        seal = await move.seal(new_id(), by=by, reason=self._reason)

        async def write(file: Output) -> None:
            lines = MoveWriter()
            file.write(lines.header(move.header(seal)))
            async for item in move.items():
                file.write(lines.item(item))
            file.write(lines.footer())

        await write_out(self._out, write)
        return await self._checked(move)

    async def _checked(self, move: MoveOut) -> ExitCode:
        found = await asyncio.to_thread(check_move, self._out, option=OUT)
        print_findings(found.violations, "VIOLATION", as_json=False)
        for entry in found.control:
            print(visible(f"VIOLATION  {entry.subject} {entry.name}: {entry.message}"))
        for problem in move.problems:
            print(f"incomplete: {visible(problem)}", file=sys.stderr)
        print(f"{found.counts}, {found.total} violations")
        _tell(f"import it with `jobfleet audit import {self._out}`; this fleet stays sealed")
        return ExitCode.NO if found.total or move.problems else ExitCode.DONE


def _tell(text: str) -> None:
    print(visible(text), file=sys.stderr, flush=True)
