"""Wires RabbitMQ and Azure Storage into one backend, in plain sight."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from jobfleet_backends.azure.audit_trail import AzureAuditTrail
from jobfleet_backends.azure.control_log import AzureControlLog
from jobfleet_backends.azure.dead_letter_store import AzureDeadLetterStore
from jobfleet_backends.azure.group_marks import AzureGroupMarks
from jobfleet_backends.azure.http.clock_offset import ClockOffset
from jobfleet_backends.azure.http.storage_account import RENEWAL, Access, StorageAccount
from jobfleet_backends.azure.http.storage_probe import StorageProbe
from jobfleet_backends.azure.index.index_table import IndexTable, OtherShards, Shards
from jobfleet_backends.azure.index.job_index import AzureJobIndex
from jobfleet_backends.azure.index.job_index_reader import AzureJobIndexReader
from jobfleet_backends.azure.job_logs import AzureJobLogs
from jobfleet_backends.azure.lease_store import AzureLeaseStore
from jobfleet_backends.azure.payload_store import AzurePayloadStore
from jobfleet_backends.azure.rate_store import AzureRateStore
from jobfleet_backends.azure.storage_names import StorageNames
from jobfleet_backends.azure.table_limits import LIMITS
from jobfleet_backends.azure.trail_retention import AzureTrailRetention
from jobfleet_backends.azure.worker_directory import AzureWorkerDirectory
from jobfleet_backends.rabbitmq.connection import RabbitMQ
from jobfleet_backends.rabbitmq.control_channel import RabbitControlChannel
from jobfleet_backends.rabbitmq.dead_letter_queue import RabbitDeadLetterQueue
from jobfleet_backends.rabbitmq.event_feed import RabbitEventFeed
from jobfleet_backends.rabbitmq.job_consumer import RabbitJobConsumer
from jobfleet_backends.rabbitmq.job_queue import RabbitJobQueue
from jobfleet_backends.rabbitmq.message_key import MessageKey
from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.backend import Backend, Probe
from jobfleet_contracts.errors import BackendError, SettingsError
from jobfleet_contracts.ports import Clock, RenewalLeases
from jobfleet_contracts.request_counter import RequestCounter

AGREEMENT_SECONDS = 3.0


async def open_azure(settings: Settings, *, clock: Clock | None = None) -> Backend:
    """Open storage and broker on the running event loop.

    Only the number of index shards is compared at once, if the storage answers; else before the
    first request to the index.

    Raises:
        SettingsError: an address cannot be parsed, or another number of shards is stored; names
            the variable.
    """
    clock = clock or SystemClock()
    names = StorageNames.of(settings)
    access, counter = Access.of(settings), RequestCounter()
    offset = ClockOffset(clock=clock)
    account = StorageAccount(access=access, counter=counter, offset=offset)
    payloads = AzurePayloadStore(container=account.container(names.payloads))
    rabbitmq = RabbitMQ(
        url=settings.rabbitmq_url.get_secret_value(),
        namespace=settings.namespace,
        message_key=MessageKey(store=payloads),
    )
    trail = AzureAuditTrail(table=account.table(names.audit))
    leases = AzureLeaseStore(container=account.container(names.locks))
    index_table = IndexTable(
        shards=Shards(settings.index_shards), **account.table_parts(names.index)
    )
    index = AzureJobIndex(table=index_table)
    letters = RabbitDeadLetterQueue(rabbitmq=rabbitmq)
    feed = RabbitEventFeed(rabbitmq=rabbitmq)
    storage = StorageProbe(
        table=index_table,
        trail=account.table(names.audit),
        container=account.container(names.locks),
    )

    try:
        with suppress(BackendError, TimeoutError):
            async with asyncio.timeout(AGREEMENT_SECONDS):
                await _agreed(index_table)
    except SettingsError:
        await asyncio.gather(account.close(), rabbitmq.close())
        raise

    async def probe() -> Sequence[Probe]:
        return await asyncio.gather(
            storage.tables(), storage.trail(), storage.blobs(), rabbitmq.probe()
        )

    async def close() -> None:
        await index.stop()
        await feed.close()
        await asyncio.gather(account.close(), rabbitmq.close())

    return Backend(
        limits=LIMITS,
        name="azure",
        trail=trail,
        leases=leases,
        locks=leases,
        queue=RabbitJobQueue(rabbitmq=rabbitmq, queues=settings.queues),
        index=index,
        reader=AzureJobIndexReader(table=index_table, trail=trail, clock=clock),
        directory=AzureWorkerDirectory(table=account.table(names.workers), clock=clock),
        control=RabbitControlChannel(rabbitmq=rabbitmq),
        control_log=AzureControlLog(table=account.table(names.control)),
        rates=AzureRateStore(table=account.table(names.rates)),
        marks=AzureGroupMarks(table=account.table(names.groups)),
        feed=feed,
        payloads=payloads,
        logs=AzureJobLogs(container=account.container(names.payloads)),
        dead_letters=AzureDeadLetterStore(table=account.table(names.letters), queue=letters),
        consumer=lambda: RabbitJobConsumer(rabbitmq=rabbitmq),
        renewal_leases=lambda: _renewal_leases(access, names, counter),
        probe=probe,
        close=close,
        retention=AzureTrailRetention(trail=account.table(names.audit), index=index_table),
        requests=counter,
        clock_offset=offset.seconds,
    )


async def _agreed(index: IndexTable) -> None:
    try:
        await index.agree()
    except OtherShards as error:
        raise SettingsError(str(error)) from None


def _renewal_leases(
    access: Access, names: StorageNames, counter: RequestCounter
) -> tuple[RenewalLeases, Callable[[], Awaitable[None]]]:
    """Connections of the calling loop, so that no other traffic delays a renewal."""
    account = StorageAccount(access=access, counter=counter, patience=RENEWAL)
    return AzureLeaseStore(container=account.container(names.locks)), account.close
