"""Writes the newest hash of each job, and reads such a file."""

from __future__ import annotations

from pathlib import Path

from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.output_file import Output, write_out
from jobfleet_cli.session import Session
from jobfleet_contracts.codec import decode, encode
from jobfleet_contracts.errors import InvalidRequest, SettingsError
from jobfleet_protocol.audit.heads import Head


class TrailHeads:
    """One call of ``audit heads``."""

    def __init__(self, *, out: Path | None) -> None:
        self._out = out

    async def run(self, session: Session) -> ExitCode:
        """Write one JSON line for each job: its id, and the newest row's sequence and hash."""

        async def write(file: Output) -> None:
            async for history in session.backend.trail.scan():
                file.write(encode(Head.of(history).to_json()) + b"\n")

        await write_out(self._out, write)
        return ExitCode.DONE


def read_heads(path: Path) -> list[Head]:
    """Read a file that ``audit heads`` wrote.

    Raises:
        SettingsError: the file cannot be read, or a line is none of such a file; names the line.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise SettingsError(f"--heads: {path} cannot be read: {error.strerror}") from error
    return [_head(path, number, line) for number, line in enumerate(lines, start=1) if line]


def _head(path: Path, number: int, line: bytes) -> Head:
    try:
        return Head.from_json(decode(line))
    except InvalidRequest as error:
        raise SettingsError(f"--heads: line {number} of {path}: {error}") from error
