"""Which jobs an action is meant for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jobfleet_contracts.codec import parse_time
from jobfleet_contracts.errors import ActionRefused, InvalidRequest
from jobfleet_contracts.index import JobQuery
from jobfleet_contracts.job import check_characters, unknown_fields
from jobfleet_contracts.ports import JobIndexReader
from jobfleet_dashboard.api.filters import states

ACTIONS = ("cancel", "redrive", "dismiss")
MAX_IDS = 1000
MAX_FOUND = 10_000
_PAGE = 1000
_FIELDS = frozenset({"action", "ids", "filter", "expected"})
_FILTERS = frozenset({"state", "type", "queue", "q", "lockKey", "since", "until"})


@dataclass(frozen=True, slots=True)
class Selection:
    """Ids, or a filter with the number of jobs that its author saw."""

    action: str
    ids: Sequence[str] = ()
    query: JobQuery | None = None
    expected: int = 0

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Selection:
        """Read ``{"action","ids"}`` or ``{"action","filter","expected"}``.

        Raises:
            InvalidRequest: names the field; an empty filter would mean every job there is.
        """
        if unknown := body.keys() - _FIELDS:
            raise unknown_fields(unknown)
        action = body.get("action")
        if action not in ACTIONS:
            raise InvalidRequest(f"action: must be one of {', '.join(ACTIONS)}", field="action")
        if ("ids" in body) == ("filter" in body):
            raise InvalidRequest("ids: give either ids, or filter and expected", field="ids")
        if "ids" in body:
            return cls(action, _ids(body["ids"]))
        expected = body.get("expected")
        if isinstance(expected, bool) or not isinstance(expected, int) or expected < 0:
            raise InvalidRequest(
                "expected: say how many jobs the filter shows, so that no others are touched",
                field="expected",
            )
        return cls(action, query=_query(body["filter"]), expected=expected)

    async def find(self, reader: JobIndexReader) -> Sequence[str]:
        """Return the ids.

        Raises:
            ActionRefused: the filter finds another number than expected, or over 10,000.
        """
        if self.query is None:
            return self.ids
        found: list[str] = []
        query: JobQuery | None = self.query
        while query is not None and len(found) <= MAX_FOUND:
            page = await reader.jobs(query)
            found += [row.facts.job_id for row in page.items]
            query = None if page.next is None else replace(query, cursor=page.next)
        if len(found) > MAX_FOUND:
            raise ActionRefused(f"the filter finds over {MAX_FOUND:,} jobs; narrow it")
        if len(found) != self.expected:
            raise ActionRefused(
                f"the filter finds {len(found):,} jobs now, not {self.expected:,}; look again"
            )
        return found


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
            f"filter: must name at least one of {', '.join(sorted(_FILTERS))}", field="filter"
        )
    if unknown := value.keys() - _FILTERS:
        raise unknown_fields({f"filter.{name}" for name in unknown})
    for name, text in value.items():
        if not isinstance(text, str) or not text.strip():
            raise InvalidRequest(f"filter.{name}: must be a text", field=f"filter.{name}")
        check_characters(text, field=f"filter.{name}")
    return JobQuery(
        states=states(value.get("state")),
        job_type=value.get("type"),
        queue=value.get("queue"),
        text=value.get("q"),
        lock_key=value.get("lockKey"),
        since=_time(value, "since"),
        until=_time(value, "until"),
        limit=_PAGE,
    )


def _time(value: Mapping[str, Any], name: str) -> Any:
    try:
        return None if name not in value else parse_time(value[name])
    except ValueError as error:
        raise InvalidRequest(f"filter.{name}: {error}", field=f"filter.{name}") from error
