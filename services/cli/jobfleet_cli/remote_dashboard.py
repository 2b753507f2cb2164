"""A dashboard elsewhere, whose REST API commands drive instead of a storage of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

from jobfleet_contracts.errors import (
    ActionRefused,
    BackendUnavailable,
    BodyConflict,
    InvalidRequest,
    JobfleetError,
    SettingsError,
    UnknownJob,
)

ANSWER_SECONDS = 60.0
SILENT_STREAM_SECONDS = 45.0
MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""Size of one answer, decompressed. A server that is not a dashboard must not fill the memory."""
_KINDS: Mapping[int, type[JobfleetError]] = {
    400: InvalidRequest,
    401: SettingsError,
    403: ActionRefused,
    404: UnknownJob,
    409: ActionRefused,
    413: InvalidRequest,
    422: BodyConflict,
    429: ActionRefused,
}
_FIRST_ERROR = 400


class RemoteDashboard:
    """One command's conversation with the API; the key's role decides what is allowed."""

    def __init__(self, *, url: str, key: str | None) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Accept": "application/json"} | ({"X-API-Key": key} if key else {})
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, **query: Any) -> Any:
        """Return the JSON of a page.

        Raises:
            JobfleetError: as the dashboard refused it; ``BackendUnavailable`` if it is away.
        """
        parameters = {name: str(value) for name, value in query.items() if value is not None}
        return await self._ask("GET", path, params=parameters)

    async def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Any:
        """Send JSON, and return that of the answer; errors as with :meth:`get`.

        A time-out says nothing of whether it was done.
        """
        return await self._ask("POST", path, json=body, headers=headers)

    async def put(self, path: str, body: Any) -> Any:
        """Send JSON, and return that of the answer; errors as with :meth:`get`."""
        return await self._ask("PUT", path, json=body)

    async def delete(self, path: str, body: Any) -> Any:
        """Send JSON with a removal, and return that of the answer; errors as with :meth:`get`."""
        return await self._ask("DELETE", path, json=body)

    async def stream(
        self, path: str, cursor: str | None, *, opened: asyncio.Event
    ) -> AsyncIterator[tuple[str, Any]]:
        """Yield the id and the JSON of each server-sent event until the connection ends.

        Args:
            opened: set as soon as the stream misses nothing any more.

        Raises:
            JobfleetError: as with :meth:`get`; ``BackendUnavailable`` if the connection broke.
        """
        assert self._session is not None, "used outside of `async with`"
        headers = {"Accept": "text/event-stream"}
        if cursor is not None:
            headers["Last-Event-ID"] = cursor
        # The dashboard sends a comment every 15 s: a stream that is silent for longer is broken.
        timeout = aiohttp.ClientTimeout(total=None, sock_read=SILENT_STREAM_SECONDS)
        try:
            async with self._session.get(
                f"{self._url}{path}", headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                if answer.status >= _FIRST_ERROR:
                    raise _refusal(answer.status, _document(await _body(answer)), self._url)
                opened.set()
                found = b""
                async for line in _lines(answer.content):
                    name, _, value = line.partition(b": ")
                    if name == b"id":
                        found = value
                    elif name == b"data" and value:
                        yield found.decode(), _document(value)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            message = str(error) or type(error).__name__
            raise BackendUnavailable(f"the stream of {self._url} broke off: {message}") from error

    async def download(self, path: str, **query: str | None) -> AsyncIterator[bytes]:
        """Yield the whole lines of a file; errors as with :meth:`stream`.

        A connection that breaks off raises: what was yielded is not all.
        """
        assert self._session is not None, "used outside of `async with`"
        parameters = {name: value for name, value in query.items() if value is not None}
        timeout = aiohttp.ClientTimeout(total=None, sock_read=SILENT_STREAM_SECONDS)
        try:
            async with self._session.get(
                f"{self._url}{path}", params=parameters, timeout=timeout, allow_redirects=False
            ) as answer:
                if answer.status != 200:  # noqa: PLR2004
                    self._check(answer.status, _document(await _body(answer)))
                rest = b""
                async for chunk in answer.content.iter_any():
                    whole, end, rest = (rest + chunk).rpartition(b"\n")
                    if end:
                        yield whole + end
                if rest:
                    yield rest
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            told_error = str(error) or type(error).__name__
            raise BackendUnavailable(
                f"the download from {self._url} broke off: {told_error}"
            ) from error

    async def _ask(self, method: str, path: str, **how: Any) -> Any:
        assert self._session is not None, "used outside of `async with`"
        address = f"{self._url}{path}"
        try:
            # A key is never sent on to where an answer leads.
            async with self._session.request(
                method, address, allow_redirects=False, **how
            ) as answer:
                body = await _body(answer)
                status = answer.status
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            message = str(error) or type(error).__name__
            away = f"the dashboard at {self._url} does not answer: {message}"
            raise BackendUnavailable(away) from error
        document = _document(body)
        self._check(status, document)
        return document

    def _check(self, status: int, document: Any) -> None:
        """Raise what an answer's status means."""
        if 300 <= status < _FIRST_ERROR:  # noqa: PLR2004
            raise SettingsError(f"JOBFLEET_URL: {self._url} leads elsewhere; give its real address")
        if status >= _FIRST_ERROR:
            raise _refusal(status, document, self._url)


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield whole lines; one of an event may be longer than the reader's own limit."""
    rest = b""
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.rstrip(b"\r")


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    """Return the whole body; raises ``BackendUnavailable`` if it has no end in sight."""
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            message = (
                f"the answer of {answer.url.origin()} has more than {MAX_ANSWER_BYTES:,} bytes"
            )
            raise BackendUnavailable(message)
    return bytes(body)


def _document(body: bytes) -> Any:
    try:
        return orjson.loads(body) if body else None
    except orjson.JSONDecodeError:
        return None


def _refusal(status: int, document: Any, url: str) -> JobfleetError:
    problem = document if isinstance(document, Mapping) else {}
    detail = str(problem.get("detail") or problem.get("title") or f"answer {status}")
    if status == 401:  # noqa: PLR2004
        return SettingsError(f"JOBFLEET_API_KEY: not accepted at {url}: {detail}")
    kind = _KINDS.get(status)
    if kind is None:
        return BackendUnavailable(f"the dashboard at {url}: {detail}")
    return kind(detail)
