"""The requests of a lock's and a log's life, by hand on azure-core: create, lease, append, delete.

The blob client spends two thirds of a request's CPU time on policies and models that these need
not. As in ``table_writer`` only public parts of azure-core are used, and everything else about
blobs is left to the client.

Formats: Azure's REST reference, "Put Blob", "Append Block", "Lease Blob", "Delete Blob".
"""

from __future__ import annotations

from urllib.parse import quote

from azure.core.exceptions import HttpResponseError
from azure.core.pipeline import AsyncPipeline
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest

from jobfleet_backends.azure.http.signing import Credential, blob_policy

_VERSION = {"x-ms-version": "2019-12-12"}
_ERROR = 400


class BlobWriter:
    """Changes blobs of one container; raises what the client library would raise.

    Every method may raise ``HttpResponseError``: refused; ``error_code`` tells why.
    """

    def __init__(
        self,
        *,
        endpoint: str,
        container: str,
        credential: Credential,
        transport: AsyncHttpTransport[HttpRequest, AsyncHttpResponse],
    ) -> None:
        self._container = f"{endpoint}/{container}"
        self._pipeline: AsyncPipeline[HttpRequest, AsyncHttpResponse] = AsyncPipeline(
            transport, policies=[blob_policy(credential)]
        )

    async def create(self, name: str, body: bytes) -> None:
        """Create a blob; refused with 409 where one stands."""
        headers = {"x-ms-blob-type": "BlockBlob", "If-None-Match": "*"}
        await self._send("PUT", self._url(name), headers, body)

    async def create_log(self, name: str) -> None:
        """Create an empty append blob; refused with 409 where one stands."""
        headers = {"x-ms-blob-type": "AppendBlob", "If-None-Match": "*"}
        await self._send("PUT", self._url(name), headers)

    async def append(self, name: str, position: int, body: bytes) -> None:
        """Append to an append blob; refused with 412 if it does not end at the position."""
        headers = {"x-ms-blob-condition-appendpos": str(position)}
        await self._send("PUT", f"{self._url(name)}?comp=appendblock", headers, body)

    async def acquire(self, name: str, lease_id: str, seconds: int) -> None:
        """Lease a blob under an id of one's own."""
        headers = {"x-ms-proposed-lease-id": lease_id, "x-ms-lease-duration": str(seconds)}
        await self._lease("acquire", name, headers)

    async def renew(self, name: str, lease_id: str) -> None:
        """Start the lease's time anew."""
        await self._lease("renew", name, {"x-ms-lease-id": lease_id})

    async def release(self, name: str, lease_id: str) -> None:
        """End the lease."""
        await self._lease("release", name, {"x-ms-lease-id": lease_id})

    async def delete(self, name: str, lease_id: str | None) -> None:
        """Delete a blob, under its lease if it has one."""
        headers = {} if lease_id is None else {"x-ms-lease-id": lease_id}
        await self._send("DELETE", self._url(name), headers)

    async def _lease(self, action: str, name: str, headers: dict[str, str]) -> None:
        headers = {"x-ms-lease-action": action, **headers}
        await self._send("PUT", f"{self._url(name)}?comp=lease", headers)

    def _url(self, name: str) -> str:
        return f"{self._container}/{quote(name)}"

    async def _send(
        self, method: str, url: str, headers: dict[str, str], body: bytes = b""
    ) -> None:
        if method == "PUT":
            headers["Content-Length"] = str(len(body))
        if body:
            headers["Content-Type"] = "application/octet-stream"
        request = HttpRequest(method, url, headers=_VERSION | headers, content=body or None)
        response = (await self._pipeline.run(request)).http_response
        if response.status_code >= _ERROR:
            raise _error(response)


def _error(response: AsyncHttpResponse) -> HttpResponseError:
    status = response.status_code
    error = HttpResponseError(message=f"refused with {status}", response=response)
    error.status_code = status
    error.error_code = response.headers.get("x-ms-error-code", "")  # type: ignore[attr-defined]
    return error
