"""`python -m devtools.bench.bare_requests`: the storage requests of jobs, and nothing else.

The lower bound of what a run of jobfleet costs: a lean client sends what a worker must send, 32
jobs at once, without a broker, a handler, JSON models or a retry. What jobfleet reaches beside it,
in the same run of the bench, is its share of what the storage takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import uuid
from datetime import UTC, datetime, timedelta

import aiohttp
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import ResourceExistsError
from azure.data.tables import AccountSasPermissions as TablePermissions
from azure.data.tables import ResourceTypes as TableTypes
from azure.data.tables import TableServiceClient
from azure.data.tables import generate_account_sas as generate_table_sas
from azure.storage.blob import AccountSasPermissions as BlobPermissions
from azure.storage.blob import BlobServiceClient
from azure.storage.blob import ResourceTypes as BlobTypes
from azure.storage.blob import generate_account_sas as generate_blob_sas

from devtools.bench.ticks import tick

STORAGE, SCOPE, JOBS = "BENCH_STORAGE", "BENCH_SCOPE", "BENCH_JOBS"
AT_ONCE = 32
INDEX_ROWS = 4
"""Written in batches for each run: three events in the timeline, and the end of the open row."""
BATCH_ROWS = 100
SHARDS = 4
CONTAINER, TABLE, INDEX = "bare", "Bare", "BareIndex"
REFUSED = 300
VERSION = {"x-ms-version": "2021-12-02"}
ROW = {
    **VERSION,
    "Accept": "application/json;odata=nometadata",
    "Content-Type": "application/json",
    "Prefer": "return-no-content",
}


class BareRequests:
    """Sends the requests of one job after the other; rows of the index in batches."""

    def __init__(
        self,
        *,
        session: aiohttp.ClientSession,
        blobs: str,
        tables: str,
        blob_sas: str,
        table_sas: str,
    ) -> None:
        self._session = session
        self._blobs, self._tables = f"{blobs}/{CONTAINER}", tables
        self._blob_sas, self._table_sas = blob_sas, table_sas
        self._pending: list[list[str]] = [[] for _ in range(SHARDS)]

    async def job(self, scope: str) -> None:
        """Send what the run of one job costs in a scope."""
        job_id = str(uuid.uuid4())
        if scope == "job":
            await self._blob("PUT", job_id, {"x-ms-blob-type": "BlockBlob", "If-None-Match": "*"})
            lease = {"x-ms-lease-action": "acquire", "x-ms-lease-duration": "60"}
            lease_id = str(uuid.uuid4())
            lease["x-ms-proposed-lease-id"] = lease_id
            await self._blob("PUT", job_id, lease, "&comp=lease")
        await self._insert(job_id, 2)
        await self._insert(job_id, 3)
        if scope == "job":
            await self._blob("DELETE", job_id, {"x-ms-lease-id": lease_id})
        await self._index(job_id)

    async def flush(self) -> None:
        """Send the rows that still wait for their batch."""
        for shard in range(SHARDS):
            await self._send_batch(shard)

    async def _blob(self, verb: str, name: str, headers: dict[str, str], how: str = "") -> None:
        url = f"{self._blobs}/{name}?{self._blob_sas}{how}"
        await self._send(verb, url, VERSION | headers, b"")

    async def _insert(self, job_id: str, sequence: int) -> None:
        row = _row(job_id, f"{9_999_999_999 - sequence}")
        await self._send("POST", f"{self._tables}/{TABLE}?{self._table_sas}", ROW, row.encode())

    async def _index(self, job_id: str) -> None:
        shard = int(job_id[:8], 16) % SHARDS
        rows = self._pending[shard]
        rows += [_row(f"s{shard}", f"{job_id}-{number}") for number in range(INDEX_ROWS)]
        if len(rows) + INDEX_ROWS > BATCH_ROWS:
            await self._send_batch(shard)

    async def _send_batch(self, shard: int) -> None:
        rows, self._pending[shard] = self._pending[shard], []
        if not rows:
            return
        batch, changes = f"batch_{uuid.uuid4()}", f"changeset_{uuid.uuid4()}"
        head = (
            f"--{changes}\r\nContent-Type: application/http\r\n"
            "Content-Transfer-Encoding: binary\r\n\r\n"
            f"POST {self._tables}/{INDEX} HTTP/1.1\r\nContent-Type: application/json\r\n"
            "Accept: application/json;odata=nometadata\r\nPrefer: return-no-content\r\n"
            "DataServiceVersion: 3.0\r\n\r\n"
        )
        begin = f"--{batch}\r\nContent-Type: multipart/mixed; boundary={changes}\r\n\r\n"
        parts = "".join(f"{head}{row}\r\n" for row in rows)
        body = f"{begin}{parts}--{changes}--\r\n\r\n--{batch}--\r\n"
        headers = ROW | {"Content-Type": f"multipart/mixed; boundary={batch}"}
        await self._send("POST", f"{self._tables}/$batch?{self._table_sas}", headers, body.encode())

    async def _send(self, verb: str, url: str, headers: dict[str, str], body: bytes) -> None:
        async with self._session.request(verb, url, headers=headers, data=body) as response:
            answer = await response.read()
            if response.status >= REFUSED or b"HTTP/1.1 4" in answer:
                where = url.split("?", maxsplit=1)[0]
                raise RuntimeError(f"{verb} {where}: {response.status} {answer[:300]!r}")


def _row(partition: str, row: str) -> str:
    """Return a row of about the size of an event."""
    return f'{{"PartitionKey":"{partition}","RowKey":"{row}","Data":"{"x" * 700}"}}'


def _signed(connection_string: str) -> dict[str, str]:
    """Create what the requests write to; return both services' addresses and signatures."""
    blobs = BlobServiceClient.from_connection_string(connection_string)
    tables = TableServiceClient.from_connection_string(connection_string)
    with contextlib.suppress(ResourceExistsError):
        blobs.create_container(CONTAINER)
    for table in (TABLE, INDEX):
        tables.create_table_if_not_exists(table)
    name, key = str(blobs.account_name), blobs.credential.account_key
    expiry = datetime.now(UTC) + timedelta(days=1)
    return {
        "blobs": str(blobs.url).rstrip("/"),
        "tables": str(tables.url).rstrip("/"),
        "blob_sas": generate_blob_sas(
            account_name=name,
            account_key=key,
            resource_types=BlobTypes(object=True),
            permission=BlobPermissions(read=True, write=True, delete=True, create=True),
            expiry=expiry,
        ),
        "table_sas": generate_table_sas(
            AzureNamedKeyCredential(name, key),
            resource_types=TableTypes(service=True, object=True),
            permission=TablePermissions(read=True, write=True, delete=True, add=True, update=True),
            expiry=expiry,
        ),
    }


async def run(connection_string: str, scope: str, jobs: int) -> None:
    """Send the requests of that many jobs, and tick after each."""
    signed = _signed(connection_string)
    connector = aiohttp.TCPConnector(limit=AT_ONCE)
    async with aiohttp.ClientSession(connector=connector) as session:
        bare = BareRequests(session=session, **signed)
        numbers = iter(range(jobs))

        async def one_after_the_other() -> None:
            for _ in numbers:
                sent = time.time()
                await bare.job(scope)
                tick(sent)

        await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))
        await bare.flush()
        await asyncio.sleep(60)  # as a worker does, it lives until it is ended


if __name__ == "__main__":
    asyncio.run(run(os.environ[STORAGE], os.environ[SCOPE], int(os.environ[JOBS])))
