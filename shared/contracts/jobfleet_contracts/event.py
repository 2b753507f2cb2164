"""An event of the audit trail: what happened, and the job's state after it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from jobfleet_contracts.codec import decode, encode_text, format_time
from jobfleet_contracts.credentials import masked, masked_text
from jobfleet_contracts.errors import InvalidRequest, WrittenByNewer
from jobfleet_contracts.lease import MAX_SLOTS
from jobfleet_contracts.state import State, Status, step_of

if TYPE_CHECKING:
    from jobfleet_contracts.job import JobRequest

MAX_MESSAGE_CHARACTERS = 4_000
"""Longer event messages are cut, with a mark."""

MASKED_SALT = ""
"""Salt of a row from a masked export, which holds none."""

NAMELESS = "somebody"
"""Who acts if the caller gives no name: on a dashboard without keys, or in a program."""

UNREADABLE = "Unreadable"
"""Status of what stands in for a row that cannot be read; no writer uses it."""


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What never changes in the life of a job; every row repeats it."""

    job_id: str
    job_name: str
    job_type: str
    queue: str
    priority: int
    lock_key: str | None
    created_at: datetime
    lock_slots: int = 1

    def __post_init__(self) -> None:
        """Refuse what an edited row may hold: the names of too many slots would fill the memory.

        Raises:
            ValueError: the number of slots is none that a request can have.
        """
        if not 1 <= self.lock_slots <= MAX_SLOTS:
            raise ValueError(f"lock slots are {self.lock_slots!r}")

    @classmethod
    def of(cls, request: JobRequest) -> JobFacts:
        """Take the facts from a request."""
        return cls(
            request.job_id,
            request.name,
            request.type,
            request.queue,
            request.priority,
            request.lock_key,
            request.created_at,
            request.lock_slots,
        )


MAX_TAKEOVERS = 5
"""A job that loses more running attempts than this in a row fails, unless it says otherwise."""


class HeldLock(NamedTuple):
    """A slot of a limit that a claim holds beside its lock, and the turn under it."""

    lock: str
    turn: int


def held_locks_to_text(locks: tuple[HeldLock, ...]) -> str | None:
    """Return the form that a row holds, ``None`` for no locks."""
    return encode_text([list(each) for each in locks]) if locks else None


def held_locks_of_text(text: str | None) -> tuple[HeldLock, ...]:
    """Read that form.

    Raises:
        ValueError: it is another one.
    """
    if text is None:
        return ()
    try:
        found = [HeldLock(str(lock), turn) for lock, turn in decode(text)]
    except (InvalidRequest, TypeError, ValueError) as error:
        raise ValueError(f"locks are not a list of lock and turn: {error}") from error
    if not all(isinstance(each.turn, int) for each in found):
        raise ValueError("locks hold a turn that is not a number")
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """Fold of a job's events up to one sequence; stored in that event's row.

    Attributes:
        sequence: number of the event that led here, from 1 without gaps.
        epoch: fencing token; rises by one at each claim or takeover, 0 before the first.
        attempt: number of the running or last attempt, 0 before the first.
        attempts_used: attempts that count against ``max_attempts``.
        incarnation: 1, and one more with each redrive.
        worker_id: who last claimed the job.
        lock: the lock on which the last claim rests.
        lock_turn: turn under a lock key or the fleet's lock; ``None`` under the job's own.
        locks: slots of limits that the last claim holds beside ``lock``, each with its turn.
        due_at: when to start it, or the deadline of a waiting job.
        sent: a waiting job's request has reached the third party.
        cancel_requested: a cancel request of this incarnation is unanswered.
        takeovers: running attempts lost since one was ended by its own worker.
        max_takeovers: how many of them the last claim allows; one more, and the job fails.
        dismissed: an operator took the dead job off the dead-letter list.
        lifecycle_before: sequence of the newest event before this one that is not a step; 0 for the
            first event. Readers follow it from one lifecycle event to the next, past all steps.
    """

    state: State
    sequence: int
    epoch: int = 0
    attempt: int = 0
    attempts_used: int = 0
    max_attempts: int = 1
    incarnation: int = 1
    worker_id: str | None = None
    lock: str | None = None
    lock_turn: int | None = None
    locks: tuple[HeldLock, ...] = ()
    due_at: datetime | None = None
    sent: bool = False
    cancel_requested: bool = False
    takeovers: int = 0
    max_takeovers: int = MAX_TAKEOVERS
    dismissed: bool = False
    lifecycle_before: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One row of the trail; inserted once, never changed.

    Attributes:
        facts: what the job is.
        after: the job's state after this event.
        event_id: UUID fixed before the first try to write it.
        status: ``Queued``, ``Step 3`` and so on.
        message: for people; cut at 4,000 characters.
        occurred_at: wall clock of the writer.
        worker_id: who wrote it; ``None`` for publishers, API and callbacks.
        duration_ms: for ``Started`` how long the job was due before, for an ending how long the
            attempt ran; ``None`` if neither is known.
        data: details by status: request, result, error, progress, who asked.
        salt: random text that the digests of name, message and data begin with; ``None`` if an
            erasure has removed it with them.
        data_hash, text_hash: digests of the data, and of name and message.
        hash: covers the row and the row before. ``jobfleet_protocol.trail.chain`` makes the four;
            copies in an index may lack them, so two events are compared without them.
    """

    facts: JobFacts
    after: JobState
    event_id: str
    status: str
    message: str
    occurred_at: datetime
    worker_id: str | None = None
    duration_ms: int | None = None
    data: dict[str, Any] = field(default_factory=dict)
    salt: str | None = field(default=None, compare=False)
    data_hash: str | None = field(default=None, compare=False)
    text_hash: str | None = field(default=None, compare=False)
    hash: str | None = field(default=None, compare=False)

    @classmethod
    def unreadable(cls, job_id: str, sequence: int, reason: str) -> Event:
        """Stand in for a row that a codec cannot read, so that a scan can go on past it.

        Its status is none of the protocol's: ``audit verify`` reports it with the reason, and
        :attr:`kind` raises. Only ``AuditTrail.scan``, the timeline and the read side yield it.
        """
        unknown = datetime.fromtimestamp(0, UTC)
        return cls(
            facts=JobFacts(job_id, "", "", "", 0, None, unknown),
            after=JobState(state=State.FAILED, sequence=sequence),
            event_id=f"unreadable/{job_id}/{sequence}",
            status=UNREADABLE,
            message=reason,
            occurred_at=unknown,
        )

    @property
    def job_id(self) -> str:
        """The job whose trail this belongs to."""
        return self.facts.job_id

    @property
    def sequence(self) -> int:
        """Place in the job's trail, from 1."""
        return self.after.sequence

    @property
    def kind(self) -> Status:
        """The status without its step number.

        Raises:
            WrittenByNewer: the status is none that this release knows, or the row is unreadable.
        """
        try:
            return Status.of(self.status)
        except ValueError:
            raise WrittenByNewer(self.strangeness) from None

    @property
    def strangeness(self) -> str:
        """Why nothing follows from this event, as a sentence: no row to read, or a newer one."""
        if self.status == UNREADABLE:
            return f"job {self.job_id}: its event {self.sequence} cannot be read"
        return (
            f"job {self.job_id}: its event {self.sequence} is {self.status[:50]!r}, "
            "which this release does not know; use the release that wrote it"
        )

    @property
    def is_readable(self) -> bool:
        """Whether this is an event of the protocol, and no stand-in for a row."""
        try:
            Status.of(self.status)
        except ValueError:
            return False
        return True

    @property
    def is_erased(self) -> bool:
        """Whether name, message and data were removed from its row, and their salt with them."""
        return self.salt is None and self.data_hash is not None

    def without_values(self) -> Event:
        """Return the event as an erasure leaves it; its hashes stay, so the chain stays whole."""
        facts = replace(self.facts, job_name=self.facts.job_type)
        return replace(self, facts=facts, message="", data={}, salt=None)

    def masked(self) -> Event:
        """Return the event as it may be shown: its message and data without credentials."""
        return replace(self, message=masked_text(self.message), data=masked(self.data))

    @property
    def is_step(self) -> bool:
        """Whether this tells of progress; every other event is a lifecycle event."""
        return self.step is not None

    @property
    def newest_lifecycle(self) -> int:
        """Sequence of this event; for a step, that of the lifecycle event before it."""
        return self.after.lifecycle_before if self.is_step else self.sequence

    @property
    def step(self) -> int | None:
        """Number of the step that a ``Step N`` tells of, ``None`` for other events."""
        return step_of(self.status)

    @property
    def steps(self) -> int | None:
        """How many steps the handler has announced, if it did."""
        of = self.data.get("of") if self.step is not None else None
        return of if isinstance(of, int) else None

    def to_json(self) -> dict[str, Any]:
        """Return the event as API, pages, streams and exports show it: without credentials."""
        return self._json(masked_text(self.message), masked(self.data))

    def to_raw_json(self) -> dict[str, Any]:
        """Return the event as it is stored, credentials included: for ``audit export --raw``."""
        return self._json(self.message, self.data)

    def _json(self, message: str, data: dict[str, Any]) -> dict[str, Any]:
        return {
            "jobId": self.facts.job_id,
            "jobName": self.facts.job_name,
            "type": self.facts.job_type,
            "eventId": self.event_id,
            "sequence": self.after.sequence,
            "status": self.status,
            "state": self.after.state.value,
            "message": message,
            "timestamp": format_time(self.occurred_at),
            "attempt": self.after.attempt,
            "epoch": self.after.epoch,
            "workerId": self.worker_id,
            "durationMs": self.duration_ms,
            "data": data,
        }
