"""An action on many jobs: accepted once with frozen job ids, run in batches, each job exactly once.

Its log holds a write-ahead entry for each batch, with the sequence at which each job's trail ends,
and an entry with the results. If a runner dies between the two, another one begins the batch again.
The marks on events show it what was done (see ``ActionMark``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from jobfleet_contracts.codec import decode, encode, format_optional_time, format_time
from jobfleet_contracts.control import ControlEntry, ControlKind, ControlSubject
from jobfleet_contracts.control_ports import ControlLog
from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.errors import (
    ActionRefused,
    BackendUnavailable,
    EntryUnreadable,
    NotFound,
)
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.ports import Clock, PayloadStore
from jobfleet_contracts.reason import check_reason
from jobfleet_protocol.actions.action_journal import ActionJournal
from jobfleet_protocol.control.control_writer import ControlDraft, ControlWriter
from jobfleet_protocol.reading.job_actions import JobAction

BATCH = 50
"""Jobs of one entry; with their results they fit into it."""
PAGE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkAction:
    """Where an action stands.

    Attributes:
        scope: the filter in words, or how the jobs were chosen.
        count: how many jobs it has; ``next`` of them are done with.
        done, refused: jobs that it changed, and jobs that did not allow it or failed.
        batch: job ids and the sequences before the first try, of the batch under way.
        stopping: it was asked to stop; the batch under way is finished.
    """

    action_id: str
    action: JobAction
    by: str
    reason: str
    scope: str
    count: int
    asked_at: datetime
    next: int = 0
    done: int = 0
    refused: int = 0
    batch: Mapping[str, int] = field(default_factory=dict)
    stopping: bool = False
    ended_at: datetime | None = None

    @classmethod
    def of(cls, entry: ControlEntry) -> BulkAction:
        """Read the state after an entry."""
        state = entry.state
        ended = entry.kind is ControlKind.ENDED
        return cls(
            action_id=entry.name,
            action=JobAction(state["action"]),
            by=state["by"],
            reason=state["reason"],
            scope=state["scope"],
            count=state["count"],
            asked_at=datetime.fromisoformat(state["askedAt"]),
            next=state["next"],
            done=state["done"],
            refused=state["refused"],
            batch=state["batch"],
            stopping=state["stopping"],
            ended_at=entry.occurred_at if ended else None,
        )

    @property
    def status(self) -> str:
        """``running``, ``stopping``, ``stopped`` or ``ended``."""
        if self.ended_at is None:
            return "stopping" if self.stopping else "running"
        return "stopped" if self.next < self.count else "ended"

    def state(self) -> dict[str, Any]:
        """Return the form that the log holds."""
        return {
            "action": self.action.value,
            "by": self.by,
            "reason": self.reason,
            "scope": self.scope,
            "count": self.count,
            "askedAt": format_time(self.asked_at),
            "next": self.next,
            "done": self.done,
            "refused": self.refused,
            "batch": dict(self.batch),
            "stopping": self.stopping,
        }

    def to_json(self) -> dict[str, Any]:
        """Return the action as API and pages show it."""
        return {
            "actionId": self.action_id,
            "action": self.action.value,
            "status": self.status,
            "by": self.by,
            "reason": masked_text(self.reason),
            "scope": masked_text(self.scope),
            "count": self.count,
            "handled": self.next,
            "done": self.done,
            "refused": self.refused,
            "askedAt": format_time(self.asked_at),
            "endedAt": format_optional_time(self.ended_at),
        }


@dataclass(frozen=True, slots=True)
class JobResult:
    """What became of one job: its state, or why it was refused."""

    job_id: str
    state: str | None
    error: str | None

    def to_json(self) -> dict[str, Any]:
        """Return one item of an action's results."""
        error = None if self.error is None else masked_text(self.error)
        return {"jobId": self.job_id, "state": self.state, "error": error}


class BulkActions:
    """Accepts actions on many jobs, and keeps their logs."""

    def __init__(
        self, *, log: ControlLog, payloads: PayloadStore, journal: ActionJournal, clock: Clock
    ) -> None:
        self._control_log = log
        self._payloads = payloads
        self._journal = journal
        self._writer = ControlWriter(log=log, clock=clock)
        self._clock = clock

    async def accept(
        self, action: JobAction, job_ids: Sequence[str], *, by: str, reason: str, scope: str
    ) -> BulkAction:
        """Freeze the ids and promise to act on each of them once.

        Raises:
            ActionRefused: too many actions are under way.
            BackendUnavailable: whether it was accepted is unclear; look at the list of actions.
        """
        check_reason(reason)
        asked = BulkAction(
            action_id=new_id(),
            action=action,
            by=by,
            reason=reason,
            scope=scope[:500],
            count=len(job_ids),
            asked_at=self._clock.now(),
        )
        await self._payloads.put(ids_name(asked.action_id), encode(list(job_ids)))
        await self._begin(asked)
        details = {"action": action.value, "count": asked.count, "scope": asked.scope}
        await self._journal.open(asked.action_id, by=by, reason=reason, details=details)
        return asked

    async def find(self, action_id: str) -> BulkAction:
        """Return an action.

        Raises:
            NotFound: there is none.
            EntryUnreadable: the newest entry of its log was edited.
        """
        newest = await self._control_log.newest(ControlSubject.ACTION, action_id)
        if newest is None:
            raise NotFound(f"there is no action {action_id}")
        try:
            return BulkAction.of(newest)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise EntryUnreadable(newest.subject, newest.name, newest.sequence) from error

    async def job_ids(self, action_id: str) -> list[str]:
        """Return the frozen ids.

        Raises:
            BackendUnavailable: they are missing, or storage does not answer.
        """
        body = await self._payloads.get(ids_name(action_id))
        if body is None:
            raise BackendUnavailable(f"the job ids of action {action_id} are missing")
        return [str(each) for each in decode(body)]

    async def results(
        self, action_id: str, *, before: int | None = None
    ) -> tuple[list[JobResult], int | None]:
        """Return results, the last ones first, and where the next page begins.

        Raises:
            NotFound: there is no such action.
            EntryUnreadable: as :meth:`find`.
        """
        await self.find(action_id)
        entries = await self._control_log.history(
            ControlSubject.ACTION, action_id, before=before, limit=PAGE
        )
        found = [
            JobResult(*map(_text, each))
            for entry in entries
            for each in reversed(entry.details.get("results", []))
        ]
        more = len(entries) == PAGE and entries[-1].sequence > 1
        return found, entries[-1].sequence if more else None

    async def stop(self, action_id: str, *, by: str) -> BulkAction:
        """Ask the action to stop after its batch.

        Raises:
            NotFound: there is none.
            ActionRefused: it has ended.
        """
        found = await self.find(action_id)
        if found.ended_at is not None:
            raise ActionRefused(f"action {action_id} has {found.status} already")

        def decide(newest: ControlEntry | None) -> ControlDraft | None:
            now = None if newest is None else BulkAction.of(newest)
            if now is None or now.ended_at is not None or now.stopping:
                return None
            state = replace(now, stopping=True).state()
            return ControlDraft(kind=ControlKind.CHANGED, by=by, state=state)

        await self._writer.append(ControlSubject.ACTION, action_id, decide)
        return await self.find(action_id)

    async def advance(
        self, before: BulkAction, after: BulkAction, results: Sequence[JobResult] = ()
    ) -> BulkAction | None:
        """Write the next step of a runner; ``None``: another runner is ahead, leave it to that.

        A request to stop that came in between is kept.
        """

        def decide(newest: ControlEntry | None) -> ControlDraft | None:
            now = None if newest is None else BulkAction.of(newest)
            if now is None or replace(now, stopping=before.stopping) != before:
                return None
            following = replace(after, stopping=now.stopping)
            details = {"results": [[r.job_id, r.state, r.error] for r in results]}
            kind = ControlKind.ENDED if after.ended_at is not None else ControlKind.CHANGED
            return ControlDraft(
                kind=kind, by=before.by, state=following.state(), details=details if results else {}
            )

        entry = await self._writer.append(ControlSubject.ACTION, before.action_id, decide)
        return None if entry is None else BulkAction.of(entry)

    async def close(self, ended: BulkAction) -> None:
        """Take an ended action out of what is under way."""
        details = {"done": ended.done, "refused": ended.refused, "status": ended.status}
        await self._journal.close(ended.action_id, by=ended.by, details=details)

    async def _begin(self, action: BulkAction) -> None:
        def decide(newest: ControlEntry | None) -> ControlDraft | None:
            if newest is not None:
                return None
            state = action.state()
            return ControlDraft(
                kind=ControlKind.ASKED, by=action.by, reason=action.reason, state=state
            )

        await self._writer.append(ControlSubject.ACTION, action.action_id, decide)


def ids_name(action_id: str) -> str:
    """Return the name under which the payload store keeps the job ids of an action."""
    return f"{action_id}/0/ids"


def _text(value: Any) -> Any:
    return value if isinstance(value, str) else None
