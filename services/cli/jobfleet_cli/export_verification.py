"""``jobfleet audit verify --export``: checks an exported trail without the storage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.trail_verification import print_findings
from jobfleet_contracts.codec import decode
from jobfleet_contracts.errors import InvalidRequest, SettingsError
from jobfleet_contracts.event import MASKED_SALT, Event
from jobfleet_protocol.audit.export_check import check_export
from jobfleet_protocol.reading.export_line import (
    check_control_line,
    event_of_line,
    is_control_line,
)


def verify_export(file: Path, *, as_json: bool) -> ExitCode:
    """Print every row that is missing or was changed, then how many events were read.

    Exit 1 if one is missing or was changed.

    Raises:
        SettingsError: the file cannot be read, is not an export, or holds no event.
    """
    found = read = masked = 0

    def counted() -> Iterator[Event]:
        nonlocal read, masked
        for event in _events(file):
            read += 1
            masked += event.salt == MASKED_SALT
            yield event

    for violation in check_export(counted()):
        print_findings([violation], "VIOLATION", as_json=as_json)
        found += 1
    if not read:
        raise SettingsError(f"--export: {file} holds no event")
    if masked and not as_json:
        print("a masked export: names, messages and data were not checked")
    if not as_json:
        print(f"{read} events, {found} violations")
    return ExitCode.NO if found else ExitCode.DONE


def _events(file: Path) -> Iterator[Event]:
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if (event := _event(line, f"{file}, line {number}")) is not None:
                    yield event
    except OSError as error:
        raise SettingsError(f"--export: {file} cannot be read: {error.strerror}") from error


def _event(line: bytes, place: str) -> Event | None:
    """Return the event of a line; ``None`` for an entry of the control log, which has no hash."""
    try:
        value = decode(line)
        if is_control_line(value):
            check_control_line(value)
            return None
        return event_of_line(value)
    except InvalidRequest as error:
        raise SettingsError(f"--export: {place}: {error}") from error
