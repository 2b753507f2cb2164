"""Whether a queue or a job type is paused after each entry of its log, and what may follow; pure.

State, as JSON: ``paused``, ``pausedBy``, ``pausedAt``, ``until``, ``reason``, and ``exempt``: jobs
that an operator lets run once all the same, each with the epoch in which it was exempted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from jobfleet_contracts.codec import (
    format_optional_time,
    format_time,
    parse_optional_time,
    parse_time,
)
from jobfleet_contracts.control import ControlEntry, ControlKind, ControlSubject
from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.errors import ActionRefused, InvalidRequest
from jobfleet_contracts.event import Event
from jobfleet_contracts.internal_job import INTERNAL_TYPES
from jobfleet_contracts.reason import behind_name
from jobfleet_protocol.control.control_writer import ControlDraft
from jobfleet_protocol.control.type_keys import keeping_keys

PAUSABLE = (ControlSubject.QUEUE, ControlSubject.TYPE)
RESCUER = "rescuer"
MOST_EXEMPT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A pause in force.

    Attributes:
        subject, name: the queue or the type that is paused.
        sequence: that of the entry that began it; tells two pauses of one name apart.
        by, since, until, reason: who paused it, when, until when, and why.
        exempt: job id to the epoch in which the job may start all the same.
        is_unreadable: it stands in for an entry whose state cannot be read.
    """

    subject: ControlSubject
    name: str
    sequence: int
    by: str
    since: datetime
    until: datetime | None = None
    reason: str = ""
    exempt: Mapping[str, int] = field(default_factory=dict)
    is_unreadable: bool = False

    @classmethod
    def of(cls, entry: ControlEntry | None) -> Pause | None:
        """Return the pause in force after an entry, ``None`` if there is none.

        An entry that cannot be read pauses too: nothing starts until it is resumed.
        """
        if entry is None:
            return None
        try:
            return cls._read(entry) if entry.state["paused"] else None
        except (KeyError, TypeError, ValueError, AttributeError):
            return cls(
                subject=entry.subject,
                name=entry.name,
                sequence=entry.sequence,
                by=entry.by,
                since=entry.occurred_at,
                reason="its log cannot be read: resume it, or pause it anew",
                is_unreadable=True,
            )

    @classmethod
    def _read(cls, entry: ControlEntry) -> Pause:
        state = entry.state
        return cls(
            subject=entry.subject,
            name=entry.name,
            sequence=int(state["entry"]),
            by=str(state["pausedBy"]),
            since=parse_time(state["pausedAt"]),
            until=parse_optional_time(state["until"]),
            reason=str(state["reason"]),
            exempt={str(job): int(epoch) for job, epoch in state["exempt"].items()},
        )

    @property
    def text(self) -> str:
        """Say it in a line: ``queue mail paused by nightops until …, reason: …``."""
        why = behind_name(self.shown_reason)
        return f"{self.subject} {self.name} paused by {self.by}{self.until_text}{why}"

    @property
    def until_text(self) -> str:
        """Say when it ends, in the one form of all texts and pages; empty if it has no end."""
        return "" if self.until is None else f" until {self.until:%Y-%m-%d %H:%M} UTC"

    @property
    def shown_reason(self) -> str:
        """The reason as it may be shown: an operator may have pasted a command line into it."""
        return masked_text(self.reason)

    def is_over(self, now: datetime) -> bool:
        """Whether its time has come. It stays in force until ``Resumed`` stands in the log."""
        return self.until is not None and self.until <= now

    def spares(self, head: Event) -> bool:
        """Whether an operator has let this job run once all the same.

        The job's next ``Started`` raises its epoch, and with it the permission is used up.
        """
        return self.exempt.get(head.job_id) == head.after.epoch

    def to_json(self) -> dict[str, Any]:
        """Return the fields that lists of queues and types have."""
        return {
            "paused": True,
            "pausedBy": self.by,
            "pausedAt": format_time(self.since),
            "pausedUntil": format_optional_time(self.until),
            "pauseReason": self.shown_reason,
        }

    def _draft(self, kind: ControlKind, *, by: str, reason: str, **details: Any) -> ControlDraft:
        state = {
            "paused": True,
            "pausedBy": self.by,
            "pausedAt": format_time(self.since),
            "until": format_optional_time(self.until),
            "reason": self.reason,
            "entry": self.sequence,
            "exempt": dict(self.exempt),
        }
        return ControlDraft(kind=kind, by=by, reason=reason, state=state, details=details)


NOT_PAUSED = {
    "paused": False,
    "pausedBy": None,
    "pausedAt": None,
    "pausedUntil": None,
    "pauseReason": "",
}
"""As :meth:`Pause.to_json`, of a queue or type that runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPauses:
    """All pauses in force, as one look at the control log found them.

    Attributes:
        aliases: earlier names of types to the names that they have now. A pause of a type holds
            jobs of its earlier names too; only workers that have its handler know them.
    """

    queues: Mapping[str, Pause] = field(default_factory=dict)
    types: Mapping[str, Pause] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)

    def holding(self, *, queue: str, job_type: str) -> Pause | None:
        """Return the pause that keeps such jobs from starting.

        Jobs that jobfleet makes to finish others, callbacks, heed no pause.
        """
        if job_type in INTERNAL_TYPES:
            return None
        return next(iter(self._pauses_of(queue, job_type)), None)

    def holding_job(self, head: Event) -> Pause | None:
        """Return the pause that keeps this job from starting, ``None`` if an operator let it."""
        facts = head.facts
        if facts.job_type in INTERNAL_TYPES:
            return None
        held = self._pauses_of(facts.queue, facts.job_type)
        return next((pause for pause in held if not pause.spares(head)), None)

    def _pauses_of(self, queue: str, job_type: str) -> list[Pause]:
        now = self.aliases.get(job_type, job_type)
        found = (self.queues.get(queue), self.types.get(job_type), self.types.get(now))
        return [pause for pause in found if pause is not None]


NO_PAUSES = FleetPauses()


def pause(
    newest: ControlEntry | None,
    *,
    subject: ControlSubject,
    name: str,
    by: str,
    reason: str,
    until: datetime | None,
    now: datetime,
) -> ControlDraft | None:
    """Return the entry that pauses; ``None`` if the same pause stands already.

    Raises:
        InvalidRequest: ``until`` has passed, or the type is one of jobfleet's own.
    """
    if until is not None and until <= now:
        raise InvalidRequest("until: has passed; name a time in the future", field="until")
    if subject is ControlSubject.TYPE and name in INTERNAL_TYPES:
        raise InvalidRequest(f"type: {name} jobs end other jobs and cannot be paused", field="type")
    standing = Pause.of(newest)
    if standing is not None and (standing.until, standing.reason) == (until, reason):
        return None
    following = 1 if newest is None else newest.sequence + 1
    begun = Pause(
        subject=subject,
        name=name,
        sequence=standing.sequence if standing is not None else following,
        by=by,
        since=standing.since if standing is not None else now,
        until=until,
        reason=reason,
        exempt=standing.exempt if standing is not None else {},
    )
    return _keeping(newest, begun._draft(ControlKind.PAUSED, by=by, reason=reason))


def resume(newest: ControlEntry | None, *, by: str, reason: str = "") -> ControlDraft | None:
    """Return the entry that ends the pause; ``None`` if there is none."""
    if Pause.of(newest) is None:
        return None
    state = {"paused": False}
    return _keeping(
        newest, ControlDraft(kind=ControlKind.RESUMED, by=by, reason=reason, state=state)
    )


def resume_in_time(newest: ControlEntry | None, *, now: datetime) -> ControlDraft | None:
    """Return the entry that ends a pause whose time has come; ``None`` for every other."""
    standing = Pause.of(newest)
    if standing is None or not standing.is_over(now):
        return None
    return resume(newest, by=RESCUER, reason=f"paused until {format_optional_time(standing.until)}")


def exempt(
    newest: ControlEntry | None, head: Event, *, by: str, reason: str
) -> ControlDraft | None:
    """Return the entry that lets one job run once during the pause; ``None``: it may already.

    Raises:
        ActionRefused: so many jobs were exempted from this pause that resuming it is simpler.
    """
    standing = Pause.of(newest)
    if standing is None or standing.spares(head):
        return None
    if len(standing.exempt) >= MOST_EXEMPT:
        raise ActionRefused(f"{standing.text}; {MOST_EXEMPT} jobs run all the same: resume it")
    after = replace(standing, exempt={**standing.exempt, head.job_id: head.after.epoch})
    draft = after._draft(
        ControlKind.CHANGED, by=by, reason=reason, jobId=head.job_id, epoch=head.after.epoch
    )
    return _keeping(newest, draft)


def _keeping(newest: ControlEntry | None, draft: ControlDraft) -> ControlDraft:
    """Keep the payload keys of a type, which stand in the same state."""
    return replace(draft, state=keeping_keys(newest, draft.state))
