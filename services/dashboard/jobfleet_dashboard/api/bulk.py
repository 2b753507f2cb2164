"""What people did to the fleet, and the actions on many jobs."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request

from jobfleet_contracts.cursor import foreign_cursor
from jobfleet_dashboard.api.bulk_documents import (
    BulkActionDocument,
    JobResultPage,
    JournalPage,
)
from jobfleet_dashboard.api.descriptions import BULK_ACTION, JOURNAL, RESULTS, STOP_ACTION
from jobfleet_dashboard.api.filters import ActionsFilter, CursorFilter
from jobfleet_dashboard.api.jobs import page
from jobfleet_dashboard.api.route_description import described
from jobfleet_dashboard.security.access import asker_name, require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import services_of
from jobfleet_protocol.actions.bulk_action import BulkAction, JobResult
from jobfleet_protocol.reading.journal import JournalEntry, read_journal
from jobfleet_protocol.reading.masking_turns import in_turn, in_turns

router = APIRouter(prefix="/api/actions", tags=["actions"])
_VIEWER, _OPERATOR = [require(Role.VIEWER)], [require(Role.OPERATOR)]
ActionId = Annotated[UUID, Path(alias="actionId", description="The action's id.")]


@router.get("", dependencies=_VIEWER, **described(JOURNAL))
async def journal(request: Request, query: Annotated[ActionsFilter, Query()]) -> JournalPage:
    """Actions on many jobs, pauses and changes of schedules, newest first."""
    services = services_of(request)
    found = await read_journal(
        services.journal, services.bulk, wanted=query.action_filter(), cursor=query.cursor
    )
    items = await in_turns(JournalEntry.to_json, found.items)
    return JournalPage.model_validate(page(items, found.next, found.searched_back_to))


@router.get("/{actionId:uuid}", dependencies=_VIEWER, **described(BULK_ACTION))
async def bulk_action(request: Request, action_id: ActionId) -> BulkActionDocument:
    """One action on many jobs, and how far it has come."""
    found = await services_of(request).bulk.find(str(action_id))
    return BulkActionDocument.model_validate(await in_turn(BulkAction.to_json, found))


@router.get("/{actionId:uuid}/results", dependencies=_VIEWER, **described(RESULTS))
async def results(
    request: Request, action_id: ActionId, query: Annotated[CursorFilter, Query()]
) -> JobResultPage:
    """The result for each job of an action, newest first."""
    found, following = await services_of(request).bulk.results(
        str(action_id), before=before_of(query.cursor)
    )
    items = await in_turns(JobResult.to_json, found)
    after = None if following is None else str(following)
    return JobResultPage.model_validate({"items": items, "next": after})


@router.post("/{actionId:uuid}/stop", dependencies=_OPERATOR, **described(STOP_ACTION))
async def stop_action(request: Request, action_id: ActionId) -> BulkActionDocument:
    """Stop an action after its current batch; jobs that it has changed stay changed."""
    stopped = await services_of(request).bulk.stop(str(action_id), by=asker_name(request))
    return BulkActionDocument.model_validate(await in_turn(BulkAction.to_json, stopped))


def before_of(cursor: str | None) -> int | None:
    """Return the place that a cursor names.

    Raises:
        InvalidRequest: no list of actions returned it.
    """
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdecimal()) or len(cursor) > len("9999999999"):
        raise foreign_cursor()
    return int(cursor)
