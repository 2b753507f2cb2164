"""Parts of requests that several routes read."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl
from uuid import UUID

from fastapi import Depends, Path, Request
from starlette.datastructures import FormData

from jobfleet_contracts.codec import decode, refuse_repeated_names
from jobfleet_contracts.cursor import foreign_cursor
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.job import unknown_fields
from jobfleet_contracts.json_size import MAX_VALUES, JsonCounter

MAX_FORM_FIELDS = 2000
_PIECE_BYTES = 64 * 1024
_SEQUENCE = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)

T = TypeVar("T")


def _job_id(job_id: Annotated[UUID, Path(alias="jobId")]) -> str:
    return str(job_id)


JobId = Annotated[str, Depends(_job_id)]
"""The path's job id in lower case; routes say ``{jobId:uuid}``, so what is not a UUID is 404."""


def _worker_id(worker_id: Annotated[UUID, Path(alias="workerId")]) -> str:
    return str(worker_id)


WorkerId = Annotated[str, Depends(_worker_id)]
"""The path's worker id; routes say ``{workerId:uuid}``."""


async def json_object(
    request: Request, *, known: frozenset[str] | None = None, most: int = MAX_VALUES
) -> dict[str, Any]:
    """Return the body, a JSON object; nothing at all counts as an empty one.

    Args:
        known: names of the allowed fields; ``None`` allows any.
        most: values and names that the body may hold.

    Raises:
        InvalidRequest: too many values, no JSON, no object, an unknown field, or a name that
            occurs twice in one object.
    """
    body = await request.body()
    await check_values(body, most)
    try:
        value = decode(body) if body else {}
    except InvalidRequest as error:
        raise InvalidRequest(f"body: {error}", field="body") from error
    if not isinstance(value, Mapping):
        raise InvalidRequest("body: must be a JSON object", field="body")
    await checked(request, lambda: refuse_repeated_names(body))
    if known is not None and (unknown := value.keys() - known):
        raise unknown_fields(unknown)
    return dict(value)


def sequence_cursor(cursor: str | None) -> int | None:
    """Return the place in a log from which a page goes on, ``None`` for the first page.

    Raises:
        InvalidRequest: no list returned this cursor.
    """
    if cursor is None:
        return None
    if not _SEQUENCE.fullmatch(cursor):
        raise foreign_cursor()
    return int(cursor)


async def check_values(body: bytes, most: int = MAX_VALUES) -> None:
    """Check that a body is cheap to decode; the loop serves others after each piece.

    Raises:
        InvalidRequest: it holds more than ``most`` values and names.
    """
    counter = JsonCounter()
    for start in range(0, len(body), _PIECE_BYTES):
        counter.feed(body[start : start + _PIECE_BYTES])
        if counter.values > most:
            raise InvalidRequest(
                f"body: holds more than {most:,} values and names; "
                "store large inputs elsewhere and pass an address",
                field="body",
            )
        await asyncio.sleep(0)


async def checked(request: Request, check: Callable[[], T]) -> T:
    """Return what a check of the body returns; a large body is checked in a thread."""
    if len(await request.body()) <= _PIECE_BYTES:
        return check()
    return await asyncio.to_thread(check)


async def read_form(request: Request) -> FormData:
    """Return the fields of a form as browsers send them by default.

    Raises:
        InvalidRequest: more than 2,000 fields.
    """
    body = await request.body()
    if body.count(b"&") >= MAX_FORM_FIELDS:
        raise InvalidRequest(f"form: more than {MAX_FORM_FIELDS:,} fields", field="form")
    text = body.decode("latin-1")  # escapes are ASCII; what they stand for is read as UTF-8
    pairs = await checked(request, lambda: parse_qsl(text, keep_blank_values=True))
    return FormData([*pairs])
