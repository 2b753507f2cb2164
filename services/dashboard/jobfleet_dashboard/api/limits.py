"""Named limits: slots and rates that operators set, and jobs name."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request

from jobfleet_contracts.control import check_control_name
from jobfleet_contracts.errors import UnknownLimit
from jobfleet_dashboard.api.action_selection import reason_of
from jobfleet_dashboard.api.descriptions import (
    LIMIT,
    LIMIT_HISTORY,
    LIMIT_PUT,
    LIMIT_REMOVE,
    LIMITS,
)
from jobfleet_dashboard.api.filters import PageFilter
from jobfleet_dashboard.api.limit_documents import (
    LimitAnswer,
    LimitDocument,
    LimitHistory,
    LimitList,
)
from jobfleet_dashboard.api.request_parts import json_object, sequence_cursor
from jobfleet_dashboard.api.route_description import described
from jobfleet_dashboard.security.access import asker_name, require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import services_of
from jobfleet_protocol.reading.limit_record import LimitRecord, entry_json
from jobfleet_protocol.reading.masking_turns import in_turn, in_turns

router = APIRouter(prefix="/api/limits", tags=["limits"])
VIEWER, OPERATOR = map(require, (Role.VIEWER, Role.OPERATOR))
_FIELDS = frozenset({"slots", "rate", "burst", "reason"})


def _checked_name(name: Annotated[str, Path(max_length=100)]) -> str:
    return check_control_name(name, what="name")


Name = Annotated[str, Depends(_checked_name)]


@router.get("", dependencies=[VIEWER], **described(LIMITS))
async def limits(request: Request) -> LimitList:
    """All limits, by name, with the jobs that hold their slots."""
    records = await services_of(request).limit_reader.all()
    items = await in_turns(LimitRecord.to_json, records)
    return LimitList.model_validate({"items": items})


@router.get("/{name}", dependencies=[VIEWER], **described(LIMIT))
async def limit(request: Request, name: Name) -> LimitDocument:
    """One limit."""
    return await _document(request, name)


@router.put("/{name}", dependencies=[OPERATOR], **described(LIMIT_PUT))
async def put_limit(request: Request, name: Name) -> LimitDocument:
    """Set the whole limit; a field that is left out limits nothing. Jobs that run go on."""
    body = await json_object(request, known=_FIELDS)
    services = services_of(request)
    burst = body.get("burst")
    await services.limits.set(
        name,
        slots=body.get("slots"),
        rate=body.get("rate"),
        burst=1 if burst is None else burst,
        by=asker_name(request),
        reason=reason_of(body),
    )
    return await _document(request, name)


@router.delete("/{name}", dependencies=[OPERATOR], **described(LIMIT_REMOVE))
async def remove_limit(request: Request, name: Name) -> LimitAnswer:
    """Remove a limit; jobs that name it start without it. Its history stays."""
    reason = reason_of(await json_object(request, known=frozenset({"reason"})))
    await services_of(request).limits.remove(name, by=asker_name(request), reason=reason)
    return LimitAnswer(name=name, message="removed")


@router.get("/{name}/history", dependencies=[VIEWER], **described(LIMIT_HISTORY))
async def limit_history(
    request: Request, name: Name, query: Annotated[PageFilter, Query()]
) -> LimitHistory:
    """What happened to a limit, newest first; also to one that was removed."""
    entries = await services_of(request).limits.history(
        name, before=sequence_cursor(query.cursor), limit=query.limit + 1
    )
    if not entries and query.cursor is None:
        raise UnknownLimit(f"no limit {name}")
    page = entries[: query.limit]
    more = len(entries) > query.limit
    return LimitHistory.model_validate(
        {
            "items": await in_turns(entry_json, page),
            "next": str(page[-1].sequence) if more else None,
        }
    )


async def _document(request: Request, name: str) -> LimitDocument:
    record = await services_of(request).limit_reader.one(name)
    return LimitDocument.model_validate(await in_turn(LimitRecord.to_json, record))
