"""Which jobs an action is meant for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.index import JobQuery
from jobfleet_contracts.job import unknown_fields
from jobfleet_contracts.ports import JobIndexReader
from jobfleet_contracts.reason import MAX_REASON
from jobfleet_protocol.reading.job_actions import JobAction
from jobfleet_protocol.reading.job_filter import FIELDS, job_query
from jobfleet_protocol.reading.job_selection import PAGE, find_expected

MAX_IDS = 1000
_FIELDS = frozenset({"action", "ids", "filter", "expected", "reason"})


@dataclass(frozen=True, slots=True)
class Selection:
    """Ids, or a filter with the number of jobs that its author saw."""

    action: JobAction
    ids: Sequence[str] = ()
    query: JobQuery | None = None
    expected: int = 0
    reason: str = ""
    scope: str = "chosen jobs"

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Selection:
        """Read ``{"action","ids"}`` or ``{"action","filter","expected"}``, each with a reason.

        Raises:
            InvalidRequest: names the field; an empty filter would mean every job there is.
        """
        if unknown := body.keys() - _FIELDS:
            raise unknown_fields(unknown)
        action = body.get("action")
        if action not in list(JobAction):  # a list, since a body may hold anything
            raise InvalidRequest(f"action: must be one of {', '.join(JobAction)}", field="action")
        if ("ids" in body) == ("filter" in body):
            raise InvalidRequest("ids: give either ids, or filter and expected", field="ids")
        if "ids" in body and "expected" in body:
            raise InvalidRequest("expected: goes with a filter, not with ids", field="expected")
        reason = reason_of(body)
        if "ids" in body:
            return cls(JobAction(action), _ids(body["ids"]), reason=reason)
        expected = body.get("expected")
        if isinstance(expected, bool) or not isinstance(expected, int) or expected < 0:
            raise InvalidRequest(
                "expected: say how many jobs the filter shows, so that no others are touched",
                field="expected",
            )
        return cls(
            JobAction(action),
            query=_query(body["filter"]),
            expected=expected,
            reason=reason,
            scope=", ".join(f"{name} {text}" for name, text in body["filter"].items()),
        )

    async def find(self, reader: JobIndexReader) -> Sequence[str]:
        """Return the ids.

        Raises:
            ActionRefused: the filter finds another number than expected, or over 10,000.
        """
        if self.query is None:
            return self.ids
        return await find_expected(reader, self.query, self.expected)


def reason_of(body: Mapping[str, Any]) -> str:
    """Return the reason that a body gives, or nothing.

    Raises:
        InvalidRequest: it is not text, or longer than 1,000 characters.
    """
    reason = body.get("reason")
    if reason is None:
        return ""
    if not isinstance(reason, str) or len(reason) > MAX_REASON:
        raise InvalidRequest(
            f"reason: must be a text of at most {MAX_REASON:,} characters", field="reason"
        )
    return reason


def _ids(value: Any) -> Sequence[str]:
    if (
        not isinstance(value, list)
        or not 0 < len(value) <= MAX_IDS
        or not all(isinstance(one, str) for one in value)
    ):
        raise InvalidRequest(f"ids: must be a list of 1 to {MAX_IDS:,} job ids", field="ids")
    return list(dict.fromkeys(value))


def _query(value: Any) -> JobQuery:
    if not isinstance(value, Mapping) or not value:
        raise InvalidRequest(
            f"filter: must name at least one of {', '.join(FIELDS)}", field="filter"
        )
    if unknown := value.keys() - set(FIELDS):
        raise unknown_fields({f"filter.{name}" for name in unknown})
    for name, text in value.items():
        if not isinstance(text, str):
            raise InvalidRequest(f"filter.{name}: must be a text", field=f"filter.{name}")
    return job_query(value, limit=PAGE, prefix="filter.")
