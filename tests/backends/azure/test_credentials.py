"""Every way to open a storage account opens the requests written by hand and the clients alike."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.storage.blob import (
    AccountSasPermissions,
    ResourceTypes,
    generate_account_sas,
)
from typing_extensions import override

from jobfleet_backends.azure.http.blob_writer import BlobWriter
from jobfleet_backends.azure.http.connection_string import StorageAddress
from jobfleet_backends.azure.http.table_writer import TableWriter
from tests.backends.azure.conftest import opened_fleet
from tests.conformance.jobs import open_row, queued, started

LEASE = "3b241101-e2bb-4255-8caf-4136c566a962"


async def test_a_shared_access_signature_opens_trail_index_and_locks(
    address: StorageAddress, table_prefix: str
) -> None:
    signed = replace(address, key=None, sas=signature_of(address))
    async with opened_fleet(signed, table_prefix) as fleet:
        first = queued()
        events = [first, started(first)]
        await fleet.index.open(open_row(first))
        await fleet.trail.insert(events)
        assert await fleet.trail.newest(first.facts.job_id) == events[1]
        assert [row.facts for row in (await fleet.reader.open_rows()).items] == [first.facts]
        lock = f"job/{first.facts.job_id}"
        await fleet.leases.create(lock)
        await fleet.leases.acquire(lock, LEASE, 15)
        await fleet.leases.renew(lock, LEASE, 15)
        assert await fleet.leases.leased() == {lock}
        await fleet.leases.delete(lock, LEASE)
        assert await fleet.leases.leased() == frozenset()


def signature_of(address: StorageAddress) -> str:
    assert address.key is not None
    everything = AccountSasPermissions(
        read=True, write=True, delete=True, list=True, add=True, create=True, update=True
    )
    signature: str = generate_account_sas(
        address.account,
        address.key,
        resource_types=ResourceTypes(service=True, container=True, object=True),
        permission=everything,
        expiry=datetime.now(UTC) + timedelta(hours=1),
        services="bt",
    )
    return signature


async def test_an_identity_sends_its_token_with_what_is_written_by_hand() -> None:
    transport, identity = Recorder(), Identity()
    rows = TableWriter(
        endpoint="https://acme.table.example",
        table="Trail",
        credential=identity,
        transport=transport,
    )
    blobs = BlobWriter(
        endpoint="https://acme.blob.example",
        container="locks",
        credential=identity,
        transport=transport,
    )
    row = {"PartitionKey": "a", "RowKey": "b"}
    await rows.insert(row)
    await rows.transact([("create", row, {})])
    await blobs.create("one", b"")
    await blobs.acquire("one", LEASE, 15)
    await blobs.delete("one", LEASE)
    assert [sent.headers["Authorization"] for sent in transport.sent] == ["Bearer t0ken"] * 5
    assert identity.scopes == {"https://storage.azure.com/.default"}


@dataclass
class Identity:
    """A managed identity, as azure-core sees it."""

    scopes: set[str] = field(default_factory=set)

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.scopes.update(scopes)
        return AccessToken("t0ken", int((datetime.now(UTC) + timedelta(hours=1)).timestamp()))

    async def close(self) -> None: ...

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...


@dataclass
class Done:
    """An answer that says so."""

    status_code: int = 202
    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Recorder(AsyncHttpTransport[HttpRequest, AsyncHttpResponse]):
    """Answers every request and remembers it."""

    def __init__(self) -> None:
        self.sent: list[HttpRequest] = []

    @override
    async def send(self, request: HttpRequest, **_: Any) -> Any:
        self.sent.append(request)
        return Done()

    @override
    async def open(self) -> None: ...

    @override
    async def close(self) -> None: ...

    async def __aexit__(self, *_: object) -> None: ...
