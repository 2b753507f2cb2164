"""Parts of requests that several routes read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Path, Request

from jobfleet_contracts.codec import decode
from jobfleet_contracts.errors import InvalidRequest


def _job_id(job_id: Annotated[UUID, Path(alias="jobId")]) -> str:
    return str(job_id)


JobId = Annotated[str, Depends(_job_id)]
"""The path's job id in lower case; routes say ``{jobId:uuid}``, so what is no UUID is 404."""


async def json_object(request: Request, *, known: frozenset[str] | None = None) -> dict[str, Any]:
    """Return the body, a JSON object; nothing at all counts as an empty one.

    Args:
        known: names of the fields that there are; ``None`` allows any.

    Raises:
        InvalidRequest: no JSON, no object, or an unknown field.
    """
    body = await request.body()
    try:
        value = decode(body) if body else {}
    except InvalidRequest as error:
        raise InvalidRequest(f"body: {error}", field="body") from error
    if not isinstance(value, Mapping):
        raise InvalidRequest("body: must be a JSON object", field="body")
    unknown = sorted(set(value) - known) if known is not None else []
    if unknown:
        raise InvalidRequest(f"unknown field: {', '.join(unknown)}", field=unknown[0])
    return dict(value)
