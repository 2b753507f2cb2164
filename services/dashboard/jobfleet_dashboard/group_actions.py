"""Actions on a whole group, accepted as actions on many jobs; API and page use them."""

from __future__ import annotations

from jobfleet_contracts.errors import ActionRefused
from jobfleet_contracts.event import NAMELESS
from jobfleet_dashboard.services import Services
from jobfleet_protocol.actions.bulk_action import BulkAction
from jobfleet_protocol.actions.group_counts import MOST_MEMBERS, member_id
from jobfleet_protocol.reading.job_actions import JobAction


async def accept(
    services: Services, group_id: str, action: JobAction, *, by: str | None, reason: str
) -> BulkAction:
    """Accept the cancel of a group, or the redrive of its members that did not complete.

    Raises:
        UnknownJob: there is no such group.
        ActionRefused: it is not a group, or it does not allow the action.
        BackendUnavailable: whether it was accepted is unclear; look at the list of actions.
    """
    record = await services.group_reader.read(group_id, most_bad=MOST_MEMBERS)
    if action not in record.actions:
        raise ActionRefused(_refusal(group_id, action, record.job.newest.after.state.value))
    is_cancel = action is JobAction.CANCEL
    ids = [group_id] if is_cancel else [member_id(group_id, index) for index in record.bad]
    scope = "" if is_cancel else "members that did not complete, of "
    accepted = await services.bulk.accept(
        action,
        ids,
        by=by or NAMELESS,
        reason=reason,
        scope=f"{scope}group {record.job.newest.facts.job_name} {group_id}",
    )
    services.bulk_runner.accepted.set()
    return accepted


def _refusal(group_id: str, action: JobAction, state: str) -> str:
    if action is JobAction.CANCEL:
        return f"group {group_id} is {state} already, or its cancel was asked for before"
    return f"group {group_id} has no member that failed, timed out or was cancelled"
