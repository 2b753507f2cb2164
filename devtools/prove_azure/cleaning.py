"""Removes all that a run has made: tables and containers by its mark, the broker's by namespace."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import aio_pika
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient

from devtools.prove_azure.target import Target
from jobfleet_backends.rabbitmq.topology import Topology
from jobfleet_contracts.delay_steps import DELAY_SECONDS

QUEUES = ("default", "mail", "q-1", "reports")
"""Of the conformance suites; other parts use ``default``."""


def clean(target: Target, mark: str, noted: Path) -> None:
    """Remove the traces of the run with this mark; safe to repeat."""
    _clean_storage(target, mark)
    namespaces = noted.read_text().split() if noted.exists() else []
    asyncio.run(_clean_broker(target, namespaces))


def left_in_storage(target: Target, mark: str) -> list[str]:
    """Return names of tables and containers with the mark."""
    with (
        BlobServiceClient.from_connection_string(target.storage) as blobs,
        TableServiceClient.from_connection_string(target.storage) as tables,
    ):
        names = [each.name for each in blobs.list_containers()]
        names += [each.name for each in tables.list_tables()]
    return [name for name in names if mark in name.lower()]


def _clean_storage(target: Target, mark: str) -> None:
    with (
        BlobServiceClient.from_connection_string(target.storage) as blobs,
        TableServiceClient.from_connection_string(target.storage) as tables,
    ):
        for table in tables.list_tables():
            if mark in table.name.lower():
                tables.delete_table(table.name)
        for container in blobs.list_containers():
            if mark in container.name:
                _delete_container(blobs, container.name)


def _delete_container(blobs: BlobServiceClient, name: str) -> None:
    """Delete a container; a lease on a blob in it does not stop that, one of its own would."""
    try:
        blobs.delete_container(name)
    except ResourceNotFoundError:
        return


async def _clean_broker(target: Target, namespaces: Iterable[str]) -> None:
    async with await aio_pika.connect(target.broker) as connection:
        for namespace in namespaces:
            channel = await connection.channel()
            for queue in _queues(namespace):
                await channel.queue_delete(queue)
            for exchange in _exchanges(namespace):
                await channel.exchange_delete(exchange)
            await channel.close()


def _queues(namespace: str) -> list[str]:
    topology = Topology(namespace=namespace)
    lanes = [lane.name for queue in QUEUES for lane in topology.lanes_of(queue)]
    return [*lanes, topology.dead, *_delays(topology)]


def _exchanges(namespace: str) -> list[str]:
    topology = Topology(namespace=namespace)
    return [topology.jobs, topology.events, topology.control, *_delays(topology)]


def _delays(topology: Topology) -> list[str]:
    """A delay's exchange and queue have one name."""
    return [topology.to_delay(seconds, "default", "normal").exchange for seconds in DELAY_SECONDS]
