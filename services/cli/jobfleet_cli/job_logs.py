"""``jobfleet jobs logs``: what the handler of a job said, here or at a dashboard elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Protocol

from jobfleet_cli.answer import print_json
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.remote_dashboard import RemoteDashboard
from jobfleet_cli.session import Session
from jobfleet_cli.terminal_text import INDENT, indented
from jobfleet_cli.trail_reading import known_form
from jobfleet_cli.zone import local_time, zone_name
from jobfleet_contracts.codec import encode_text
from jobfleet_protocol.reading.log_reader import MAX_PAGE_BYTES, LogReader
from jobfleet_protocol.reading.readable_trail import ReadableTrail

LOOK_SECONDS = 0.5
LAST_SECONDS = 3.0
"""A worker sends the last lines within two seconds of the ending."""


class _Source(Protocol):
    async def page(self, cursor: str | None) -> Mapping[str, Any]:
        """Return a page of ``GET /api/jobs/{jobId}/logs/lines``."""
        ...

    async def has_ended(self) -> bool:
        """Return whether the job is in a terminal state."""
        ...


class StoredLog:
    """Reads the storage."""

    def __init__(self, session: Session, job_id: str) -> None:
        self._job_id = known_form(job_id)
        self._trail = ReadableTrail(session.backend.trail)
        self._reader = LogReader(
            trail=session.backend.trail, logs=session.backend.logs, coder=session.backend.coder
        )

    async def page(self, cursor: str | None) -> Mapping[str, Any]:
        """Return a page."""
        found = await self._reader.page(self._job_id, cursor=cursor, limit_bytes=MAX_PAGE_BYTES)
        return found.to_json()

    async def has_ended(self) -> bool:
        """Ask the trail."""
        newest = await self._trail.newest(self._job_id)
        return newest is None or (newest.is_readable and newest.after.state.is_terminal)


class RemoteLog:
    """Asks a dashboard."""

    def __init__(self, dashboard: RemoteDashboard, job_id: str) -> None:
        self._dashboard = dashboard
        self._address = f"/api/jobs/{known_form(job_id)}"

    async def page(self, cursor: str | None) -> Mapping[str, Any]:
        """Return a page."""
        asked = {"cursor": cursor, "limitBytes": MAX_PAGE_BYTES}
        found: Mapping[str, Any] = await self._dashboard.get(f"{self._address}/logs/lines", **asked)
        return found

    async def has_ended(self) -> bool:
        """Ask for the job."""
        return (await self._dashboard.get(self._address))["completedAt"] is not None


async def print_logs(source: _Source, *, follow: bool, as_json: bool) -> ExitCode:
    """Print all lines; with ``follow`` also those to come, until the job has ended."""
    cursor: str | None = None
    ended_at: float | None = None
    while True:
        page = await source.page(cursor)
        for line in page["items"]:
            print_json(line) if as_json else _print_line(line)
        cursor = page["cursor"]
        if page["next"] is not None:
            continue
        if not follow or (ended_at is not None and time.monotonic() > ended_at + LAST_SECONDS):
            return ExitCode.DONE
        if ended_at is None and await source.has_ended():
            ended_at = time.monotonic()
        await asyncio.sleep(LOOK_SECONDS)


def _print_line(line: Mapping[str, Any]) -> None:
    moment = f"{local_time(line['at'], milliseconds=True)} {zone_name()}"
    name = f"{line['logger']}: " if line.get("logger") else ""
    fields = "".join(f"  {key}={_field(value)}" for key, value in line.get("fields", {}).items())
    message = f"{line['level']:<8} {name}{line['message']}{fields}"
    print(f"{moment}  {line['attempt']}  {indented(message)}", flush=True)
    if line.get("exception"):
        print(f"{INDENT}{indented(line['exception'])}", flush=True)


def _field(value: Any) -> str:
    return value if isinstance(value, str) else encode_text(value)
