"""The schema's version: making it, raising it, and who may work on it.

The schema holds its version and the oldest code that may work on it. A migration expands first: it
adds tables and columns that the code before does not know. A later one, a release after, takes
away what no release reads any more, and raises the oldest code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobfleet_backends.postgres.connection import Session
from jobfleet_backends.postgres.schema import OLDEST_CODE, SCHEMA, SETTLED, VERSION, in_schema
from jobfleet_contracts.errors import BackendForbidden, ReleaseUnfit
from jobfleet_contracts.job_id import new_id

_EXISTS = "SELECT to_regclass(%s) IS NOT NULL"
_READ = "SELECT name, value FROM jobfleet.meta WHERE name IN ('version', 'oldest_code')"
_WRITE = """
INSERT INTO jobfleet.meta VALUES ('version', %s), ('oldest_code', %s)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""
# Tells these tables from those of any other database.
_MARK = "INSERT INTO jobfleet.meta VALUES ('fleet', %s)"
_AHEAD = "SELECT 1 FROM jobfleet.trail WHERE xid >= pg_snapshot_xmax(pg_current_snapshot()) LIMIT 1"
_SETTLE = (
    "ALTER TABLE jobfleet.trail DISABLE TRIGGER trail_is_never_rewritten",
    "UPDATE jobfleet.trail SET xid = '1' WHERE xid >= pg_snapshot_xmin(pg_current_snapshot())",
    "ALTER TABLE jobfleet.trail ENABLE TRIGGER trail_is_never_rewritten",
)
_INVALID = """
SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class ON pg_class.oid = indrelid
WHERE NOT indisvalid AND relnamespace = %s::regnamespace
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step.

    Attributes:
        version: the schema's version after it.
        statements: run in one transaction with all other steps.
        oldest_code: the oldest version of the code that may work on the schema afterwards.
        indexes: ``CREATE INDEX CONCURRENTLY IF NOT EXISTS``, run apart and repeatable.
    """

    version: int
    statements: str
    oldest_code: int = 1
    indexes: tuple[str, ...] = ()


MIGRATIONS = (Migration(VERSION, SCHEMA + SETTLED, OLDEST_CODE),)


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    """What a schema says of itself."""

    version: int
    oldest_code: int


def read_version(session: Session, schema: str) -> SchemaVersion | None:
    """Return what the schema says, ``None`` if it has no tables of jobfleet."""
    row = session.execute(_EXISTS, (f'"{schema}".meta',)).fetchone()
    if row is None or not row[0]:
        return None
    found: dict[str, str] = dict(session.execute(in_schema(_READ, schema)).fetchall())
    return SchemaVersion(int(found.get("version", 0)), int(found.get("oldest_code", 0)))


def check_version(found: SchemaVersion | None, schema: str, *, code: int = VERSION) -> None:
    """Refuse a schema that this code cannot work on.

    Raises:
        BackendForbidden: it is missing.
        ReleaseUnfit: it is older than this code needs, or no longer made for it.
    """
    if found is None:
        raise BackendForbidden(f"schema {schema} holds no tables; run `jobfleet migrate`")
    if found.version < code:
        raise ReleaseUnfit(
            f"schema {schema} has version {found.version}, and this release needs {code}; "
            "run `jobfleet migrate`"
        )
    if found.oldest_code > code:
        raise ReleaseUnfit(
            f"schema {schema} was migrated to version {found.version}, which needs a release with "
            f"version {found.oldest_code} at least; this one has {code}: upgrade it"
        )


def migrate(
    session: Session, schema: str, *, migrations: Sequence[Migration] = MIGRATIONS
) -> list[int]:
    """Raise the schema to the newest version; return the versions that were passed on the way.

    Several processes may call it at once, and again after any failure: the lock ends with the
    transaction, and an interrupted step leaves nothing.

    Args:
        session: in autocommit mode.

    Raises:
        BackendForbidden: the database's encoding is not UTF8.
    """
    passed: list[int] = []
    with session.transaction():
        session.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (schema,))
        found = read_version(session, schema)
        if found is None:
            _check_encoding(session)
            _make_schema(session, schema)
        for step in migrations:
            if found is not None and step.version <= found.version:
                continue
            session.execute(in_schema(step.statements, schema).encode())
            session.execute(in_schema(_WRITE, schema), (str(step.version), str(step.oldest_code)))
            passed.append(step.version)
        if found is None:
            session.execute(in_schema(_MARK, schema), (new_id(),))
    _settle_restored_rows(session, schema)
    _make_indexes(session, schema, migrations)
    return passed


def _check_encoding(session: Session) -> None:
    """In another encoding the database would refuse some jobs for the signs of their text."""
    encoding = session.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise BackendForbidden(
            f"database {session.info.dbname} has encoding {encoding}, and jobfleet needs UTF8: "
            "make another one with CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0"
        )


def _make_schema(session: Session, schema: str) -> None:
    """Only if it is missing: a role that may not create schemas can use one made for it."""
    row = session.execute("SELECT to_regnamespace(%s) IS NULL", (f'"{schema}"',)).fetchone()
    if row is not None and row[0]:
        session.execute(f'CREATE SCHEMA "{schema}"'.encode())


def _settle_restored_rows(session: Session, schema: str) -> None:
    """Let live views see what was restored from a dump of another server.

    Transactions are numbered by each server anew. A row whose number lies ahead of this server's
    would hide all new events until the numbers have come that far.
    """
    if session.execute(in_schema(_AHEAD, schema)).fetchone() is None:
        return
    with session.transaction():
        for statement in _SETTLE:
            session.execute(in_schema(statement, schema))


def _make_indexes(session: Session, schema: str, migrations: Sequence[Migration]) -> None:
    """Outside of a transaction, so that writers go on. What was left half made is made again."""
    wanted = [index for step in migrations for index in step.indexes]
    if not wanted:
        return
    for (name,) in session.execute(_INVALID, (f'"{schema}"',)).fetchall():
        session.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}".encode())
    for index in wanted:
        session.execute(in_schema(index, schema).encode())
