"""Every error of jobfleet: one base class, at most three levels."""

from __future__ import annotations


class JobfleetError(Exception):
    """Base of all errors raised by jobfleet."""


class InvalidRequest(JobfleetError):
    """A job request, message or filter does not fit; ``field`` names where. Correct it."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class SettingsError(JobfleetError):
    """An environment variable or flag is unknown or has a bad value. Raised at start only."""


class ReleaseTooOld(SettingsError):
    """The fleet has used a protocol level above this release's: the worker must not start."""


class UnknownJob(JobfleetError):
    """No trail exists for this job id."""


class ActionRefused(JobfleetError):
    """The job's state does not allow the action (HTTP 409); the message says why."""


class FleetTooOld(ActionRefused):
    """A live worker cannot act on the request (HTTP 409); the message names it and its release."""


class WrittenByNewer(ActionRefused, ValueError):
    """A newer release wrote the job's newest event (HTTP 409): leave the job to that release."""


class NotFound(JobfleetError):
    """Nothing has this name or id (HTTP 404); the message says what was looked for."""


class UnknownSchedule(ActionRefused):
    """No schedule has this name, or it was removed (HTTP 404)."""


class UnknownLimit(ActionRefused):
    """No limit has this name, or it was removed (HTTP 404)."""


class BadSignature(JobfleetError):
    """A callback is not signed with one of the secrets (HTTP 401); says nothing of the job."""


class BodyConflict(JobfleetError):
    """The same job id or idempotency key was submitted before with another body."""


class CodecError(JobfleetError):
    """The payload codec could not encode or decode a value (HTTP 503); quotes nothing of it."""


class KeyUnavailable(CodecError):
    """A value is encoded, and this process has no codec, or its codec lacks the key."""


class IllegalTransition(JobfleetError):
    """An event that the transition table forbids after the job's newest event."""


class BackendError(JobfleetError):
    """Base of what adapters raise. Says nothing of whether the operation took effect."""


class BackendUnavailable(BackendError):
    """The server did not answer, or answered that it cannot. The operation may have been done."""


class BackendForbidden(BackendError):
    """Credentials or a permission are missing; names operation and role. Do not retry for ever."""


class DataMissing(BackendError):
    """Large data that an event names are not in storage. Somebody has removed them: do not ask
    again."""


class FleetSealed(BackendError):
    """The fleet is sealed, to be moved or since it was: nothing may be submitted, claimed or
    changed. What the caller asked for is not acknowledged, whatever is in the trail."""


class SequenceTaken(BackendError):
    """A row with this sequence stands already; it may be one's own from an earlier try."""


class LeaseConflict(BackendError):
    """Somebody else holds the lease, or the lease id is no longer the current one."""


class LockMissing(BackendError):
    """The lock has never been created, or was deleted at the end of its job."""


class Unroutable(BackendError):
    """The broker has no queue for the message; the queue's topology must be declared again."""


class Fenced(JobfleetError):
    """The trail says that another epoch runs, or that the job ended: write nothing more."""


class TrustEnded(JobfleetError):
    """The lease cannot be relied on any more; hand back without having claimed."""
