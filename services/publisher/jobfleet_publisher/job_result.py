"""How a job ended, as its submitter reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jobfleet_contracts.encoded_value import is_encoded, key_in, label, labelled_text
from jobfleet_contracts.errors import JobfleetError, KeyUnavailable
from jobfleet_contracts.event import Event
from jobfleet_contracts.outcome import JobError
from jobfleet_contracts.state import State


class JobFailed(JobfleetError):
    """Raised by :meth:`JobResult.unwrap` for a job that ended in any way but ``completed``."""

    def __init__(self, result: JobResult) -> None:
        super().__init__(f"job {result.job_id} ended {result.state.value}: {result.reason}")
        self.result = result


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """The end of a job.

    Attributes:
        state: one of the terminal states.
        result: what the handler returned, as JSON; ``None`` unless ``completed``. Encoded, where
            this process lacks the codec or the key: :meth:`unwrap` then says so.
        error: what the last attempt raised; ``None`` if nothing did.
        message: the last event's message, for people.
    """

    job_id: str
    state: State
    result: Any = None
    error: JobError | None = None
    message: str = ""

    @classmethod
    def of(cls, event: Event) -> JobResult:
        """Read the result from a terminal event whose large data are resolved."""
        return cls(
            job_id=event.job_id,
            state=event.after.state,
            result=event.data.get("result"),
            error=error_of(event),
            message=labelled_text(event.message),
        )

    @property
    def completed(self) -> bool:
        """Whether the handler returned."""
        return self.state is State.COMPLETED

    @property
    def reason(self) -> str:
        """Why it ended so, in one line."""
        return f"{self.error.type}: {self.error.message}" if self.error else self.message

    def unwrap(self) -> Any:
        """Return the result.

        Raises:
            JobFailed: the job ended in another state than ``completed``.
            KeyUnavailable: the result is encoded, and this process cannot decode it.
        """
        if not self.completed:
            raise JobFailed(self)
        if is_encoded(self.result):
            raise KeyUnavailable(
                f"the result of job {self.job_id} is {label(key_in(self.result))}, and this "
                "process has no codec, or not this key"
            )
        return self.result


def error_of(event: Event) -> JobError | None:
    """Return the error that an event carries, ``None`` if it carries none."""
    error = event.data.get("error")
    if not isinstance(error, dict):
        return None
    return JobError(
        type=str(error.get("type", "Error")),
        message=labelled_text(str(error.get("message", ""))),
        traceback=labelled_text(str(error.get("traceback", ""))),
    )
