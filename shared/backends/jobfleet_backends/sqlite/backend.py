"""Wires the ports of the embedded backend, in plain sight."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import structlog

from jobfleet_backends.private_files import wider_mode
from jobfleet_backends.settings import Settings
from jobfleet_backends.sqlite.audit_trail import SqliteAuditTrail
from jobfleet_backends.sqlite.connection import is_full, no_space
from jobfleet_backends.sqlite.control_channel import SqliteControlChannel
from jobfleet_backends.sqlite.control_log import SqliteControlLog
from jobfleet_backends.sqlite.database import FILE_NAME, Database
from jobfleet_backends.sqlite.dead_letter_store import SqliteDeadLetterStore
from jobfleet_backends.sqlite.event_feed import SqliteEventFeed
from jobfleet_backends.sqlite.group_marks import SqliteGroupMarks
from jobfleet_backends.sqlite.job_consumer import SqliteJobConsumer
from jobfleet_backends.sqlite.job_index import SqliteJobIndex
from jobfleet_backends.sqlite.job_index_reader import SqliteJobIndexReader
from jobfleet_backends.sqlite.job_logs import SqliteJobLogs
from jobfleet_backends.sqlite.job_openings import SqliteJobOpenings
from jobfleet_backends.sqlite.job_queue import SqliteJobQueue
from jobfleet_backends.sqlite.lease_store import SqliteLeaseStore
from jobfleet_backends.sqlite.payload_store import SqlitePayloadStore
from jobfleet_backends.sqlite.rate_store import SqliteRateStore
from jobfleet_backends.sqlite.trail_retention import SqliteTrailRetention
from jobfleet_backends.sqlite.worker_directory import SqliteWorkerDirectory
from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.backend import Backend, Limits, Probe
from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_contracts.own_thread import in_own_thread
from jobfleet_contracts.ports import Clock, RenewalLeases

DATABASE_OPENED = "database.opened"
FOLDER_OPEN = "data_dir.open_to_others"
PROBE_SECONDS = 5.0
_NEEDED = {
    "trail": "position",
    "jobs": "job_id",
    "open_jobs": "job_id",
    "locks": "lock",
    "messages": "message",
    "workers": "worker_id",
}
RENEWAL_BUSY_SECONDS = 3.0

_log = structlog.get_logger()

LIMITS = Limits(inline_bytes=30_000, transaction_rows=100)
"""SQLite takes more. Larger rows would slow every list that reads past them."""


async def open_embedded(settings: Settings, *, clock: Clock | None = None) -> Backend:
    """Open the database file in the data folder, creating both if they are missing.

    Raises:
        SettingsError: the folder or file cannot be used; names it and the remedy.
    """
    clock = clock or SystemClock()
    database = Database(path=settings.data_dir.absolute() / FILE_NAME, clock=clock)
    await in_own_thread(database.open, name="open-database")
    if mode := wider_mode(database.path.parent):
        remedy = f"chmod 700 {database.path.parent}"
        _log.warning(FOLDER_OPEN, path=str(database.path.parent), mode=mode, remedy=remedy)
    _log.debug(DATABASE_OPENED, path=str(database.path), sqlite=sqlite3.sqlite_version)
    control = SqliteControlChannel(database=database)
    await control.start()
    leases = SqliteLeaseStore(database=database)

    consumers: list[SqliteJobConsumer] = []

    def consumer() -> SqliteJobConsumer:
        consumers.append(SqliteJobConsumer(database=database))
        return consumers[-1]

    async def close() -> None:
        control.stop()
        for each in consumers:
            await each.stop()
        await database.close()

    return Backend(
        limits=LIMITS,
        name="embedded",
        trail=SqliteAuditTrail(database=database),
        leases=leases,
        locks=leases,
        queue=SqliteJobQueue(database=database),
        index=SqliteJobIndex(database=database),
        reader=SqliteJobIndexReader(database=database),
        directory=SqliteWorkerDirectory(database=database),
        control=control,
        control_log=SqliteControlLog(database=database),
        rates=SqliteRateStore(database=database),
        marks=SqliteGroupMarks(database=database),
        feed=SqliteEventFeed(),
        payloads=SqlitePayloadStore(database=database),
        logs=SqliteJobLogs(database=database),
        dead_letters=SqliteDeadLetterStore(database=database),
        consumer=consumer,
        renewal_leases=lambda: _renewal_leases(database.path, clock),
        probe=lambda: _probe(database),
        close=close,
        retention=SqliteTrailRetention(database=database),
        openings=SqliteJobOpenings(database=database),
    )


def _renewal_leases(
    path: Path, clock: Clock
) -> tuple[RenewalLeases, Callable[[], Awaitable[None]]]:
    """Connections of their own, so that no queue of other writes delays a renewal."""
    database = Database(path=path, clock=clock, busy_seconds=RENEWAL_BUSY_SECONDS, readers=1)
    database.open()
    return SqliteLeaseStore(database=database), database.close


async def _probe(database: Database) -> Sequence[Probe]:
    address = str(database.path)
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            detail = await database.write(_look)
            await database.read(_read_what_jobs_need)
        if is_full(database.path):
            raise no_space(database.path)
    except (BackendUnavailable, TimeoutError) as error:
        detail = str(error) or f"no answer within {PROBE_SECONDS:g} s"
        remedy = "see that the disk has room, and that this user may write the file and its folder"
    else:
        if database.damage is None:
            return [Probe("database", address, ok=True, detail=detail)]
    if database.damage is not None:
        detail = database.damage
        remedy = "stop all processes, restore the file from a backup, then start them again"
    full = is_full(database.path)
    return [Probe("database", address, ok=False, detail=detail, remedy=remedy, lasting=full)]


def _read_what_jobs_need(connection: sqlite3.Connection) -> None:
    """Read both ends of each table that a submit, a claim or a page reads, if it grows."""
    for table, key in _NEEDED.items():
        for order in ("ASC", "DESC"):
            connection.execute(f"SELECT * FROM {table} ORDER BY {key} {order} LIMIT 1").fetchall()


def _look(connection: sqlite3.Connection) -> str:
    """Write something, so that a full or read-only disk shows."""
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('probe', datetime('now'))")
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    return f"SQLite {sqlite3.sqlite_version}, {pages * size / 1e6:,.1f} MB"
