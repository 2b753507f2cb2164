"""What ``doctor`` and the health pages ask of the database."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from jobfleet_backends.postgres.connection import URL, Session
from jobfleet_backends.postgres.database import Database
from jobfleet_backends.postgres.migrations import check_version, read_version
from jobfleet_backends.postgres.schema import INDEXES, KEYS, TRIGGERS, in_schema
from jobfleet_backends.postgres.server_clock import ServerClock
from jobfleet_contracts.backend import Probe
from jobfleet_contracts.codec import encode_text, parse_time
from jobfleet_contracts.errors import BackendError, BackendForbidden

PROBE_SECONDS = 5.0
_ABOUT = """
SELECT current_setting('server_version'), pg_database_size(current_database()),
    current_setting('fsync')
"""
_WRITE = """
INSERT INTO jobfleet.meta VALUES ('probe', clock_timestamp())
ON CONFLICT (name) DO UPDATE SET value = excluded.value RETURNING clock_timestamp()
"""
NEEDED = {
    "meta": "SELECT, INSERT, UPDATE",
    "trail": "SELECT, INSERT",
    "endings": "SELECT, INSERT, DELETE",
    "errors": "SELECT, INSERT, DELETE",
    "type_times": "SELECT, INSERT, DELETE",
    "slow_runs": "SELECT, INSERT, DELETE",
    "job_keys": "SELECT, INSERT",
    "jobs": "SELECT, INSERT, UPDATE",
    "open_jobs": "SELECT, INSERT, UPDATE, DELETE",
    "state_counts": "SELECT, INSERT, DELETE",
    "locks": "SELECT, INSERT, UPDATE, DELETE",
    "messages": "SELECT, INSERT, UPDATE, DELETE",
    "queues": "SELECT, INSERT",
    "control_messages": "SELECT, INSERT, DELETE",
    "control_log": "SELECT, INSERT",
    "rates": "SELECT, INSERT, UPDATE, DELETE",
    "workers": "SELECT, INSERT, UPDATE, DELETE",
    "payloads": "SELECT, INSERT",
    "job_logs": "SELECT, INSERT",
    "group_marks": "SELECT, INSERT",
    "dead_letters": "SELECT, INSERT, DELETE",
}
"""What a worker and a dashboard do with each table; retention needs ``DELETE`` on more."""
_MISSING = """
SELECT name, privilege FROM json_each_text(%s::json) AS wanted (name, privileges)
CROSS JOIN LATERAL pg_catalog.unnest(string_to_array(privileges, ', ')) AS privilege
WHERE NOT has_table_privilege(pg_catalog.format('%%I.%%I', %s::text, name), privilege)
"""
_CHANGED = """
SELECT kind, name
FROM ROWS FROM (pg_catalog.unnest(%s::text[]), pg_catalog.unnest(%s::text[])) AS wanted (kind, name)
WHERE NOT EXISTS (
    SELECT 1 FROM pg_class JOIN pg_index ON indexrelid = pg_class.oid
    WHERE kind <> 'trigger' AND relname = name AND indisvalid AND (indisprimary OR kind = 'index')
        AND relnamespace = to_regnamespace(%s::text)
) AND NOT EXISTS (
    SELECT 1 FROM pg_class JOIN pg_trigger ON tgrelid = pg_class.oid
    WHERE kind = 'trigger' AND tgname = name AND tgenabled <> 'D'
        AND relnamespace = to_regnamespace(%s::text)
)
"""
_WANTED = (
    *(("primary key", f"{table}_pkey") for table in KEYS),
    *(("trigger", name) for name in TRIGGERS),
    *(("index", name) for name in INDEXES),
)


async def probe_database(database: Database, server_clock: ServerClock) -> Sequence[Probe]:
    """Ask for version, permissions and a write, at most five seconds."""
    address = database.address.shown
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            detail = await database.read(lambda session: _look(session, database.schema))
            sent_at = database.clock.now()
            ((moment,),) = await database.change(_WRITE)
            server_clock.note(parse_time(moment), sent_at=sent_at)
    except BackendForbidden as error:
        return [Probe("database", address, ok=False, detail=str(error), lasting=True)]
    except (BackendError, TimeoutError) as error:
        message = str(error) or f"no answer within {PROBE_SECONDS:g} s"
        remedy = "" if URL in message else f"see that the server runs and that {URL} names it"
        return [Probe("database", address, ok=False, detail=message, remedy=remedy)]
    return [Probe("database", address, ok=True, detail=detail)]


def _look(session: Session, schema: str) -> str:
    check_version(read_version(session, schema), schema)
    wanted = encode_text(NEEDED)
    missing = session.execute(in_schema(_MISSING, schema), (wanted, schema)).fetchall()
    if missing:
        lacking = ", ".join(f"{privilege} on {schema}.{name}" for name, privilege in missing)
        raise BackendForbidden(f"this role lacks {lacking}; grant it as the schema's owner")
    kinds, names = zip(*_WANTED, strict=True)
    values = (list(kinds), list(names), f'"{schema}"', f'"{schema}"')
    changed = session.execute(_CHANGED, values).fetchall()
    if any(kind != "index" for kind, _ in changed):
        lost = ", ".join(f"{kind} {name}" for kind, name in changed)
        raise BackendForbidden(f"schema {schema} lacks {lost}: undo changes by hand")
    row = session.execute(_ABOUT).fetchone()
    assert row is not None
    version, size, fsync = row
    unsafe = "" if fsync == "on" else ", fsync is off: a power cut loses events"
    slow = f", lacks index {', '.join(name for _, name in changed)}: lists are slow" * bool(changed)
    return f"PostgreSQL {version}, {size / 1e6:,.1f} MB{unsafe}{slow}"
