"""What travels on the queue: the job request and hints about where its trail stood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jobfleet_contracts.internal_job import is_internal
from jobfleet_contracts.job_bounds import MAX_ATTEMPTS, MAX_TIMEOUT_SECONDS

if TYPE_CHECKING:
    from jobfleet_contracts.event import Event
    from jobfleet_contracts.job import JobRequest


DELIVERY_LIMIT = 20
"""Unanswered deliveries of one message, before it is set aside unread."""


@dataclass(frozen=True, slots=True)
class JobDefaults:
    """Defaults of the submitter's fleet, applied where the request does not say."""

    max_attempts: int
    retry_delay_seconds: float
    retry_max_seconds: float
    timeout_seconds: float

    def to_json(self) -> dict[str, float]:
        """Return the form that event 1 and message headers hold."""
        return {
            "maxAttempts": self.max_attempts,
            "retryDelaySeconds": self.retry_delay_seconds,
            "retryMaxSeconds": self.retry_max_seconds,
            "timeoutSeconds": self.timeout_seconds,
        }

    @staticmethod
    def newer_fields(stored: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the names in that form that this version does not know, in order."""
        return tuple(sorted(f"defaults.{name}" for name in stored.keys() - _DEFAULTS))

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> JobDefaults:
        """Read that form.

        Raises:
            KeyError, TypeError, ValueError: it is another one.
        """
        attempts = stored["maxAttempts"]
        if type(attempts) is not int or not 1 <= attempts <= MAX_ATTEMPTS:
            raise ValueError(f"maxAttempts is {str(attempts)[:50]!r}")
        return cls(
            max_attempts=attempts,
            retry_delay_seconds=_seconds(stored, "retryDelaySeconds"),
            retry_max_seconds=_seconds(stored, "retryMaxSeconds"),
            timeout_seconds=_seconds(stored, "timeoutSeconds"),
        )


def _seconds(stored: Mapping[str, Any], name: str) -> float:
    """Return what the settings allow; of a longer delay a worker could not compute the end."""
    value = stored[name]
    if type(value) not in (int, float) or not 0 <= value <= MAX_TIMEOUT_SECONDS:
        raise ValueError(f"{name} is {str(value)[:50]!r}")
    return float(value)


_DEFAULTS = JobDefaults(0, 0, 0, 0).to_json().keys()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobMessage:
    """A hint that there may be something to do; the trail decides.

    Attributes:
        request: the whole request, so that a first claim needs no read.
        defaults: ``None`` in messages of foreign publishers; the worker's own apply then.
        sequence: newest event when this was published; ``None`` from foreign publishers.
        published_at: when it was first published for this sequence; ``None`` likewise.
        due_at: not to be started before; delay queues pass it on until then.
        deferrals: lock conflicts so far; the delay grows with it.
        opening_hash: hash of event 1, on which a first claim can build without reading it;
            ``None`` from foreign publishers.
        unknown_fields: what the request holds beside ``request``, from a newer version or by
            mistake. What the trail says counts then; without a trail it is not a job request.
        incarnation: the job's, which this was published for; 1 from foreign publishers.
        lost_workers: workers that were lost with earlier copies, before any could claim this
            incarnation.
        body: as it came, where the message may turn out not to be a job request.
    """

    request: JobRequest
    defaults: JobDefaults | None = None
    sequence: int | None = None
    published_at: datetime | None = None
    due_at: datetime | None = None
    deferrals: int = 0
    opening_hash: str | None = None
    unknown_fields: tuple[str, ...] = ()
    incarnation: int = 1
    lost_workers: int = 0
    body: bytes = b""

    def passed_on(self, head: Event) -> JobMessage:
        """Return the message as one that knows the job's newest event.

        Lost workers of an earlier incarnation do not count against the one that a redrive began.
        """
        after = head.after
        lost_workers = self.lost_workers if after.incarnation == self.incarnation else 0
        return replace(
            self,
            sequence=head.sequence,
            incarnation=after.incarnation,
            lost_workers=lost_workers,
        )

    def without_proof(self) -> JobMessage:
        """Return the message as one that starts nothing before event 1 was read.

        Call it for a message with unknown fields: passed on, it lacks them, and would look whole.
        """
        return replace(self, defaults=None, opening_hash=None, published_at=None)

    @property
    def needs_trail(self) -> bool:
        """Whether nothing may start before event 1 was read: the message alone proves nothing."""
        return self.defaults is None or bool(self.unknown_fields) or is_internal(self.request)

    @property
    def needs_opening(self) -> bool:
        """Whether this is not a job request, unless the trail holds event 1 for it."""
        return bool(self.unknown_fields) or is_internal(self.request)


@dataclass(frozen=True, slots=True)
class MalformedMessage:
    """A delivery that is not a job request: kept whole, with the reason."""

    body: bytes
    reason: str
    message_id: str | None = None

    @classmethod
    def unanswered(cls, body: bytes, message_id: str | None = None) -> MalformedMessage:
        """Return a message that came back too often. To read it may be what ends its workers."""
        reason = (
            f"delivered {DELIVERY_LIMIT} times to workers that were lost, or lost their "
            "connection, before they answered. It was not read again: it may be what ends them"
        )
        return cls(body, reason, message_id)
