"""Wires the ports of the PostgreSQL backend, in plain sight."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from jobfleet_backends.postgres.audit_trail import PostgresAuditTrail
from jobfleet_backends.postgres.connection import URL, Address, set_up
from jobfleet_backends.postgres.control_channel import PostgresControlChannel
from jobfleet_backends.postgres.control_log import PostgresControlLog
from jobfleet_backends.postgres.database import Database
from jobfleet_backends.postgres.dead_letter_store import PostgresDeadLetterStore
from jobfleet_backends.postgres.event_feed import PostgresEventFeed
from jobfleet_backends.postgres.group_marks import PostgresGroupMarks
from jobfleet_backends.postgres.job_claims import PostgresJobClaims
from jobfleet_backends.postgres.job_consumer import PostgresJobConsumer
from jobfleet_backends.postgres.job_index import PostgresJobIndex
from jobfleet_backends.postgres.job_index_reader import PostgresJobIndexReader
from jobfleet_backends.postgres.job_logs import PostgresJobLogs
from jobfleet_backends.postgres.job_openings import PostgresJobOpenings
from jobfleet_backends.postgres.job_queue import PostgresJobQueue
from jobfleet_backends.postgres.lease_store import PostgresLeaseStore
from jobfleet_backends.postgres.listener import Listener
from jobfleet_backends.postgres.migrations import check_version, migrate, read_version
from jobfleet_backends.postgres.notifier import Notifier
from jobfleet_backends.postgres.payload_store import PostgresPayloadStore
from jobfleet_backends.postgres.probe import probe_database
from jobfleet_backends.postgres.rate_store import PostgresRateStore
from jobfleet_backends.postgres.server_clock import ServerClock
from jobfleet_backends.postgres.trail_retention import PostgresTrailRetention
from jobfleet_backends.postgres.user_transactions import PostgresUserTransactions
from jobfleet_backends.postgres.worker_directory import PostgresWorkerDirectory
from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.backend import Backend, Limits
from jobfleet_contracts.errors import BackendForbidden, BackendUnavailable, SettingsError
from jobfleet_contracts.own_thread import in_own_thread
from jobfleet_contracts.ports import Clock, RenewalLeases

RENEWAL_SECONDS = 3.0
RENEWAL_CONNECT_SECONDS = 1.0
LIMITS = Limits(inline_bytes=30_000, transaction_rows=100)
"""PostgreSQL takes more. Larger rows would slow every list that reads past them."""


async def open_postgres(settings: Settings, *, clock: Clock | None = None) -> Backend:
    """Open the schema, and make it if nothing has made it yet.

    An unreachable server is not an error here: what needs it raises ``BackendUnavailable``.

    Raises:
        SettingsError: the address cannot be read, the server refuses the sign-in, or this release
            cannot work on the schema; names the remedy.
    """
    clock = clock or SystemClock()
    address = _address(settings)
    schema = settings.postgres_schema
    try:
        await in_own_thread(_make_schema, address, schema, name="make-schema")
    except BackendForbidden as error:
        raise SettingsError(f"{URL}: {error}") from error
    except BackendUnavailable:
        pass
    database = Database(address=address, schema=schema, clock=clock)
    database.open()
    listener = Listener(address=address, schema=schema)
    notifier = Notifier(database=database)
    server_clock = ServerClock(clock=clock)
    control = PostgresControlChannel(database=database, listener=listener, notifier=notifier)
    await control.start()
    leases = PostgresLeaseStore(database=database)
    trail = PostgresAuditTrail(database=database)
    consumers: list[PostgresJobConsumer] = []

    def consumer() -> PostgresJobConsumer:
        consumers.append(PostgresJobConsumer(database=database, listener=listener))
        return consumers[-1]

    async def close() -> None:
        control.stop()
        for each in consumers:
            await each.stop()
        await notifier.close()
        await listener.close()
        await database.close()

    return Backend(
        limits=LIMITS,
        name="postgres",
        trail=trail,
        leases=leases,
        locks=leases,
        queue=PostgresJobQueue(database=database, notifier=notifier),
        index=PostgresJobIndex(database=database),
        reader=PostgresJobIndexReader(database=database),
        directory=PostgresWorkerDirectory(database=database, server_clock=server_clock),
        control=control,
        control_log=PostgresControlLog(database=database),
        rates=PostgresRateStore(database=database),
        marks=PostgresGroupMarks(database=database),
        feed=PostgresEventFeed(),
        payloads=PostgresPayloadStore(database=database),
        logs=PostgresJobLogs(database=database),
        dead_letters=PostgresDeadLetterStore(database=database),
        consumer=consumer,
        renewal_leases=lambda: _renewal_leases(address, schema, clock),
        probe=lambda: probe_database(database, server_clock),
        close=close,
        retention=PostgresTrailRetention(database=database),
        clock_offset=server_clock.seconds,
        openings=PostgresJobOpenings(database=database, notifier=notifier),
        claims=PostgresJobClaims(database=database, trail=trail),
        transactions=PostgresUserTransactions(database=database),
    )


def migrate_schema(settings: Settings) -> list[int]:
    """Raise the schema to this release's version; return the versions that were passed.

    Raises:
        SettingsError: the address cannot be read.
        BackendError: the server is away or refuses it.
    """
    address = _address(settings)
    try:
        with address.connect() as session:
            set_up(session)
            return migrate(session, settings.postgres_schema)
    except Exception as error:
        raise address.explain(error) from error


def _address(settings: Settings) -> Address:
    try:
        return Address(settings.postgres_url.get_secret_value())
    except ValueError as error:
        raise SettingsError(f"{URL}: {error}") from None


def _make_schema(address: Address, schema: str) -> None:
    """Make a schema that is missing; an older one is left to ``jobfleet migrate``."""
    try:
        with address.connect() as session:
            set_up(session)
            found = read_version(session, schema)
            if found is None:
                migrate(session, schema)
            else:
                check_version(found, schema)
    except Exception as error:
        raise address.explain(error) from error


def _renewal_leases(
    address: Address, schema: str, clock: Clock
) -> tuple[RenewalLeases, Callable[[], Awaitable[None]]]:
    """Sessions of their own with short time limits, so that no other traffic delays a renewal.

    They open whatever the schema's version is. A worker whose release has been shut out drains, and
    others would take its running jobs if it could not renew their leases.
    """
    database = Database(
        address=address,
        schema=schema,
        clock=clock,
        writers=1,
        readers=1,
        with_index=False,
        seconds=RENEWAL_SECONDS,
        connect_seconds=RENEWAL_CONNECT_SECONDS,
        must_fit=False,
    )
    database.open()
    return PostgresLeaseStore(database=database), database.close
