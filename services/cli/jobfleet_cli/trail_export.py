"""Writes the trail as JSON lines."""

from __future__ import annotations

import sys
from pathlib import Path

from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.output_file import Output, write_out
from jobfleet_cli.session import Session
from jobfleet_cli.terminal_text import visible
from jobfleet_cli.trail_reading import histories
from jobfleet_contracts.codec import encode
from jobfleet_contracts.errors import DataMissing
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import JobQuery
from jobfleet_contracts.ports import PayloadStore
from jobfleet_protocol.reading.export_line import control_line, export_line
from jobfleet_protocol.reading.list_export import JOBS
from jobfleet_protocol.trail.large_data import resolve


class TrailExport:
    """One call of ``audit export``; without ``raw``, credentials are masked."""

    def __init__(
        self, *, job_id: str | None, out: Path | None, raw: bool, search: JobQuery | None = None
    ) -> None:
        self._job_id = job_id
        self._search = search
        self._out = out
        self._raw = raw
        self._lost: list[str] = []

    async def run(self, session: Session) -> ExitCode:
        """Write event by event, then the control log.

        The file appears under its name only when all of it is written.
        Exit 1 where large data of an event are lost; the event then holds the name of the data.
        """
        await write_out(self._out, lambda file: self._write(session, file))
        return self._answer()

    def _answer(self) -> ExitCode:
        for problem in self._lost:
            print(f"incomplete: {visible(str(problem))}", file=sys.stderr)
        return ExitCode.NO if self._lost else ExitCode.DONE

    async def _write(self, session: Session, file: Output) -> None:
        backend = session.backend
        if self._search is not None:
            async for row in JOBS.rows(backend.reader, self._search):
                await self._write_job(session, file, row.facts.job_id)
            return
        await self._write_job(session, file, self._job_id)
        if self._job_id is None:
            async for log in backend.control_log.scan():
                for entry in log:
                    file.write(encode(control_line(entry, raw=self._raw)) + b"\n")

    async def _write_job(self, session: Session, file: Output, job_id: str | None) -> None:
        """Write one job, or all of them for ``None``."""
        async for history in histories(session.backend.trail, job_id):
            for event in history:
                whole = await self._whole(event, session.backend.payloads)
                file.write(encode(export_line(whole, raw=self._raw)) + b"\n")

    async def _whole(self, event: Event, payloads: PayloadStore) -> Event:
        """What cannot be exported must not keep all the rest from it."""
        try:
            return await resolve(event, payloads)
        except DataMissing as error:
            self._lost.append(str(error))
            return event
