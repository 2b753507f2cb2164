"""Writes the trail as JSON lines."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import BinaryIO

from jobfleet_backends.private_files import open_private
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.session import Session
from jobfleet_cli.terminal_text import visible_json
from jobfleet_cli.trail_reading import histories
from jobfleet_contracts.codec import encode
from jobfleet_contracts.errors import DataMissing, SettingsError
from jobfleet_contracts.event import Event
from jobfleet_contracts.ports import PayloadStore
from jobfleet_protocol.trail.large_data import resolve


class TrailExport:
    """One call of ``audit export``."""

    def __init__(self, *, job_id: str | None, out: Path | None) -> None:
        self._job_id = job_id
        self._out = out
        self._lost: list[str] = []

    async def run(self, session: Session) -> ExitCode:
        """Write event by event; the file appears under its name only when all are in it.

        Exit 1 where large data of an event are lost; the event then holds the name of the data.
        """
        if self._out is None:
            await self._write(session, _standard_output())
            return self._answer()
        try:
            if self._out.exists() and not self._out.is_file():
                # A device or pipe must not be replaced: for root that would even succeed.
                with self._out.open("wb") as device:
                    await self._write(session, device)
            else:
                await self._replace(session, self._out.resolve())
        except OSError as error:
            raise SettingsError(f"--out: {self._out} is not writable: {error.strerror}") from error
        return self._answer()

    async def _replace(self, session: Session, out: Path) -> None:
        part = out.with_name(out.name + ".part")
        try:
            part.unlink(missing_ok=True)
            with os.fdopen(open_private(part, os.O_WRONLY | os.O_TRUNC), "wb") as file:
                await self._write(session, file)
            part.replace(out)
        finally:
            part.unlink(missing_ok=True)

    def _answer(self) -> ExitCode:
        for problem in self._lost:
            print(f"incomplete: {problem}", file=sys.stderr)
        return ExitCode.NO if self._lost else ExitCode.DONE

    async def _write(self, session: Session, file: BinaryIO | _Terminal) -> None:
        backend = session.backend
        async for history in histories(backend.trail, self._job_id):
            for event in history:
                whole = await self._whole(event, backend.payloads)
                file.write(encode(whole.to_json()) + b"\n")
        file.flush()

    async def _whole(self, event: Event, payloads: PayloadStore) -> Event:
        """What cannot be exported must not keep all the rest from it."""
        try:
            return await resolve(event, payloads)
        except DataMissing as error:
            self._lost.append(str(error))
            return event


class _Terminal:
    """Takes JSON lines as bytes, and shows them escaped."""

    def write(self, data: bytes) -> object:
        return sys.stdout.write(visible_json(data.decode()))

    def flush(self) -> object:
        return sys.stdout.flush()


def _standard_output() -> BinaryIO | _Terminal:
    return _Terminal() if sys.stdout.isatty() else sys.stdout.buffer
