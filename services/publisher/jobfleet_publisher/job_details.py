"""Where a job stands, as its submitter may see it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jobfleet_contracts.codec import format_time
from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.encoded_value import is_encoded, key_in, label, labelled_text
from jobfleet_contracts.event import Event
from jobfleet_contracts.outcome import JobError
from jobfleet_contracts.state import State
from jobfleet_publisher.job_result import error_of

if TYPE_CHECKING:
    from jobfleet_contracts.job import JobRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDetails:
    """A job at one moment, read from the newest event of its trail.

    Attributes:
        max_attempts: ``None`` right after the submit, where the request does not say.
        result: what the handler returned, as JSON; ``None`` unless ``completed``. The text
            ``encrypted (key …)`` if this process cannot decode it.
        error: why attempt or job failed, as it is stored: it can hold credentials. ``None`` if the
            newest event has no error.
        message: the newest event's message, for people; as it is stored.
    """

    job_id: str
    job_name: str
    job_type: str
    state: State
    attempt: int
    max_attempts: int | None
    created_at: datetime
    updated_at: datetime
    message: str = ""
    result: Any = None
    error: JobError | None = None
    _is_masked: bool = field(default=False, repr=False, compare=False)

    @classmethod
    def of(cls, event: Event) -> JobDetails:
        """Read them from the newest event, whose large data are resolved."""
        return cls(
            job_id=event.job_id,
            job_name=event.facts.job_name,
            job_type=event.facts.job_type,
            state=event.after.state,
            attempt=event.after.attempt,
            max_attempts=event.after.max_attempts,
            created_at=event.facts.created_at,
            updated_at=event.occurred_at,
            message=labelled_text(event.message),
            result=_shown(event.data.get("result")),
            error=error_of(event),
        )

    @classmethod
    def submitted(cls, request: JobRequest, job_id: str, state: State) -> JobDetails:
        """Tell of a job as its submitter knows it, without a look at the trail."""
        return cls(
            job_id=job_id,
            job_name=request.name,
            job_type=request.type,
            state=state,
            attempt=0,
            max_attempts=request.max_attempts,
            created_at=request.created_at,
            updated_at=request.created_at,
        )

    def masked(self) -> JobDetails:
        """Return them with the credentials in message and error hidden; the result stays as it is.

        Long texts take time: do not call this on an event loop.
        """
        if self._is_masked:
            return self
        error = self.error
        if error is not None:
            error = replace(
                error,
                type=masked_text(error.type),
                message=masked_text(error.message),
                traceback=masked_text(error.traceback),
            )
        return replace(self, message=masked_text(self.message), error=error, _is_masked=True)

    def to_json(self) -> dict[str, Any]:
        """Return the form for the outside: masked, errors without their tracebacks."""
        if not self._is_masked:
            return self.masked().to_json()
        error = self.error
        return {
            "jobId": self.job_id,
            "jobName": self.job_name,
            "type": self.job_type,
            "state": self.state.value,
            "status": self.state.value,
            "attempt": self.attempt,
            "maxAttempts": self.max_attempts,
            "createdAt": format_time(self.created_at),
            "updatedAt": format_time(self.updated_at),
            "message": self.message,
            "result": self.result,
            "error": None if error is None else {"type": error.type, "message": error.message},
        }


def _shown(result: Any) -> Any:
    return label(key_in(result)) if is_encoded(result) else result
