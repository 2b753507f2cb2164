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


class RowUnreadable(ActionRefused, ValueError):
    """A stored row of the job cannot be read (HTTP 409): nothing is decided on top of it.

    Attributes:
        reason: what is wrong with the row.
    """

    def __init__(self, job_id: str, sequence: object, reason: str) -> None:
        super().__init__(
            f"job {job_id}: its event {sequence} cannot be read ({reason}); "
            "`jobfleet audit verify` lists all such rows"
        )
        self.reason = reason


class EntryUnreadable(ActionRefused, ValueError):
    """The newest entry of a control log cannot be read (HTTP 409): nothing can follow it."""

    def __init__(self, subject: str, name: str, sequence: int) -> None:
        super().__init__(
            f"{subject} {name}: its entry {sequence} cannot be read, so nothing can follow it; "
            "`jobfleet audit verify` lists all such rows"
        )


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
    """Base of the errors of adapters. The operation may have taken effect, or not."""


class BackendUnavailable(BackendError):
    """The server is unreachable, silent or unable. The operation may have been done."""


class BackendForbidden(BackendError):
    """The server refuses the credentials, or a permission is missing. The message names the
    operation and the role. Retrying will not help until an operator grants it."""


class ReleaseUnfit(BackendForbidden):
    """The storage is no longer made for this release, or not yet; the process has to end."""


class DataMissing(BackendError):
    """The blob that holds an event's data, or a value of it, is missing, or holds something else.
    Retrying will not help."""


class FleetSealed(BackendError):
    """The fleet is being moved to another backend, or has been: no process may submit, claim or
    change a job. The request is not acknowledged, even if the trail already holds it."""


class SequenceTaken(BackendError):
    """A row with this sequence exists. It may be the caller's own, from an earlier try."""


class LeaseConflict(BackendError):
    """Another holder has the lease, or the lease id is no longer the current one."""


class LockMissing(BackendError):
    """The lock has never been created, or was deleted at the end of its job."""


class Unroutable(BackendError):
    """The broker has no queue for the message; the queue's topology must be declared again."""


class Fenced(JobfleetError):
    """The trail says that another epoch runs, or that the job ended: write nothing more."""


class TrustEnded(JobfleetError):
    """The worker may no longer rely on the lease: it gives the job up and has not claimed it."""
