"""With a payload codec neither RabbitMQ nor Azure Storage holds a byte of clear text."""

from __future__ import annotations

import aio_pika
from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import BlobServiceClient

from devtools.servers import RabbitMQServer, StorageServer
from jobfleet_backends.open_backend import with_coder
from jobfleet_backends.rabbitmq.topology import Topology
from jobfleet_backends.settings import Settings
from jobfleet_contracts.value_coder import ValueCoder
from tests.polling import eventually
from tests.system.azure_workshop import AZURE_OPTIONS, azure_settings, opened_workshop
from tests.worker.key_ring import KeyRing
from tests.worker.test_payload_codec import WORD, job_of, pay, report
from tests.worker.workshop import Workshop

LANE = "normal"


async def test_no_message_row_or_blob_holds_clear_text(
    rabbitmq: RabbitMQServer, azurite: StorageServer
) -> None:
    settings = azure_settings(rabbitmq.url, azurite.connection_string)
    async with opened_workshop(settings) as plain:
        backend = with_coder(plain.real, ValueCoder(KeyRing("k1")))
        workshop = Workshop(backend, plain.clock, AZURE_OPTIONS)
        request = job_of(WORD)
        await workshop.submitter.submit(request)
        message = await sent_message(settings, rabbitmq.url)
        assert request.job_id.encode() in message
        workshop.start_worker(pay, report)
        ended = await workshop.until_ended(request.job_id)
        assert ended.status == "Completed"
        await workshop.close()
        await backend.index.flush()
        stored = await everything_stored(settings, azurite.connection_string)
    assert request.job_id.encode() in stored
    assert len(stored) > 4000 * len(WORD), "the blob of the large result is among them"
    assert WORD.encode() not in message + stored


async def sent_message(settings: Settings, url: str) -> bytes:
    """Return the body and the headers of the job's message, and put it back."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        name = Topology(namespace=settings.namespace).lane_queue("default", LANE)
        queue = await channel.get_queue(name)

        async def taken() -> bytes | None:
            found = await queue.get(fail=False)
            if found is None:
                return None
            await found.nack(requeue=True)
            return found.body + repr(found.headers).encode()

        body: bytes = await eventually("the message is in its queue", taken)
        return body


async def everything_stored(settings: Settings, secret: str) -> bytes:
    """Return all rows and blobs of the fleet."""
    found: list[bytes] = []
    async with TableServiceClient.from_connection_string(secret) as tables:
        async for table in tables.list_tables():
            if table.name.startswith(settings.audit_table):
                client = tables.get_table_client(table.name)
                found += [repr(entity).encode() async for entity in client.list_entities()]
    async with BlobServiceClient.from_connection_string(secret) as blobs:
        async for container in blobs.list_containers():
            if container.name.startswith((settings.audit_table.lower(), settings.lock_container)):
                folder = blobs.get_container_client(container.name)
                async for blob in folder.list_blobs():
                    found.append(await (await folder.download_blob(blob.name)).readall())
    return b"\n".join(found)
