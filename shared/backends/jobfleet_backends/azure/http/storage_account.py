"""Clients of one storage account: credentials, transport, tables and containers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import aiohttp
from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import ServiceRequestError
from azure.core.pipeline.transport import AioHttpTransport
from azure.data.tables.aio import TableClient
from azure.storage.blob.aio import ContainerClient
from typing_extensions import override

from jobfleet_backends.azure.http.blob_container import BlobContainer
from jobfleet_backends.azure.http.blob_writer import BlobWriter
from jobfleet_backends.azure.http.clock_offset import ClockOffset
from jobfleet_backends.azure.http.connection_string import StorageAddress
from jobfleet_backends.azure.http.entity_table import EntityTable
from jobfleet_backends.azure.http.signing import Credential
from jobfleet_backends.azure.http.storage_calls import StorageCalls
from jobfleet_backends.azure.http.table_reader import TableReader
from jobfleet_backends.azure.http.table_writer import TableWriter
from jobfleet_backends.settings import Settings
from jobfleet_contracts.errors import SettingsError
from jobfleet_contracts.request_counter import RequestCounter

TABLE_ROLE = "Storage Table Data Contributor"
BLOB_ROLE = "Storage Blob Data Contributor"


@dataclass(frozen=True, slots=True)
class Patience:
    """Limits in seconds: to connect, between two pieces of an answer, connections kept idle.

    If a server closes an idle connection just as a request goes out, the outcome is unclear.
    Azure keeps them for minutes, but the emulator, which speaks plain HTTP, closes them after 5 s.
    """

    connect: float
    read: float
    idle: float = 60
    idle_plain: float = 3

    @property
    def whole(self) -> float:
        """Time limit of one request with all its parts."""
        return self.connect + self.read


PATIENT = Patience(connect=2, read=10)
RENEWAL = Patience(connect=1, read=3)


@dataclass(frozen=True, slots=True)
class Access:
    """Address and the way to open it.

    Attributes:
        developing: take whatever identity the developer has, instead of the machine's own.
        client_id: a user-assigned managed identity's client id.
    """

    address: StorageAddress
    developing: bool = False
    client_id: str | None = None

    @classmethod
    def of(cls, settings: Settings) -> Access:
        """Take it from the settings.

        Raises:
            SettingsError: the connection string cannot be read.
        """
        if settings.storage_account is None:
            text = settings.storage_connection_string.get_secret_value()
            return cls(StorageAddress.parse(text))
        return cls(
            StorageAddress.of_account(settings.storage_account),
            developing=settings.azure_token_credentials is not None,
            client_id=settings.azure_client_id,
        )

    def credential(self) -> Credential:
        """Return what signs requests; an identity belongs to the running event loop."""
        if self.address.key is not None:
            return AzureNamedKeyCredential(self.address.account, self.address.key)
        if self.address.sas is not None:
            # Not within the endpoint's URL: transactions would go out without it.
            return AzureSasCredential(self.address.sas)
        return self._identity()

    def _identity(self) -> AsyncTokenCredential:
        # Imported here: a sixth of the time in which a process starts, which a key can do without.
        from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential

        if self.developing:
            return DefaultAzureCredential()
        return ManagedIdentityCredential(client_id=self.client_id)


class StorageAccount:
    """Opens tables and containers; nothing is sent before the first request.

    Belongs to one event loop. The libraries' own retries are off: they resend what was applied,
    and then show one's own write as a conflict.
    """

    def __init__(
        self,
        *,
        access: Access,
        counter: RequestCounter,
        patience: Patience = PATIENT,
        offset: ClockOffset | None = None,
    ) -> None:
        self._address = access.address
        self._patience = patience
        self._counter = counter
        self._transport = _Transport(
            patience, secure=access.address.tables.startswith("https"), offset=offset
        )
        try:
            self._credential = access.credential()
        except ValueError as error:
            raise SettingsError(f"storage credentials: {error}") from None
        self._options: dict[str, Any] = {"retry_total": 0, "transport": self._transport}

    def table(self, name: str) -> EntityTable:
        """Return a table, created at its first use."""
        return EntityTable(**self.table_parts(name))

    def table_parts(self, name: str) -> dict[str, Any]:
        """Return what an ``EntityTable``, or a subclass, is made of."""
        client = TableClient(
            self._address.tables, name, credential=self._credential, **self._options
        )
        where: dict[str, Any] = {
            "endpoint": self._address.tables,
            "table": name,
            "credential": self._credential,
            "transport": self._transport,
        }
        return {
            "client": client,
            "reader": TableReader(**where),
            "writer": TableWriter(**where),
            "calls": self._calls(self._address.tables, TABLE_ROLE),
        }

    def container(self, name: str) -> BlobContainer:
        """Return a container, created at its first use."""
        client = ContainerClient(
            self._address.blobs, name, credential=self._credential, **self._options
        )
        writer = BlobWriter(
            endpoint=self._address.blobs,
            container=name,
            credential=self._credential,
            transport=self._transport,
        )
        calls = self._calls(self._address.blobs, BLOB_ROLE)
        return BlobContainer(client=client, writer=writer, calls=calls)

    async def close(self) -> None:
        """Close connections; safe to call twice."""
        await self._transport.close()
        if isinstance(self._credential, AsyncTokenCredential):
            await self._credential.close()

    def _calls(self, address: str, role: str) -> StorageCalls:
        return StorageCalls(
            address=address, role=role, seconds=self._patience.whole, counter=self._counter
        )


class _Transport(AioHttpTransport):  # type: ignore[misc]
    """The library's transport on a session of ours: no proxies and netrc looked up per request."""

    def __init__(self, patience: Patience, *, secure: bool, offset: ClockOffset | None) -> None:
        super().__init__(
            connection_timeout=patience.connect,
            read_timeout=patience.read,
            use_env_settings=False,
        )
        self.session: aiohttp.ClientSession | None = None
        self._idle = patience.idle if secure else patience.idle_plain
        self._is_closed = False
        self._offset = offset

    @override
    async def send(self, request: Any, **config: Any) -> Any:
        """Send it, and note what time the server's answer says it is."""
        if self._offset is None:
            return await super().send(request, **config)
        sent_at = self._offset.now()
        answer = await super().send(request, **config)
        self._offset.note(answer.headers.get("Date"), sent_at=sent_at)
        return answer

    @override
    async def open(self) -> None:
        if self._is_closed:
            raise ServiceRequestError("the backend is closed")
        if self.session is None:
            self.session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=self._idle),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        await super().open()

    @override
    async def close(self) -> None:
        self._is_closed = True
        await super().close()
