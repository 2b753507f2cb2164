"""How one attempt of a job ended, as a value that one ``match`` decides on."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class JobError:
    """An error as trail and API show it: ``{"type", "message", "traceback"}``.

    Attributes:
        place: module and function of the innermost frame of the user's code; empty for none.
    """

    type: str
    message: str
    traceback: str = ""
    place: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the wire form; ``place`` is left out if there is none."""
        error = {"type": self.type, "message": self.message, "traceback": self.traceback}
        return error | {"place": self.place} if self.place else error


@dataclass(frozen=True, slots=True)
class Completed:
    """The handler returned ``result``, which is JSON."""

    result: Any = None


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """The handler raised; ``retry_after`` overrides the policy, ``final`` bars more attempts.

    ``cause`` is what it raised, if it ran in this process. Nothing stores it.
    """

    error: JobError
    final: bool = False
    retry_after: timedelta | None = None
    details: dict[str, Any] = field(default_factory=dict)
    cause: BaseException | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class AttemptTimedOut:
    """The attempt ran over its time limit; ``abandoned`` if its thread could not be stopped."""

    limit_seconds: float
    abandoned: bool = False


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not now, and no attempt used: the handler asked for it, or jobfleet itself (``is_own``)."""

    delay: timedelta
    reason: str
    is_own: bool = False


@dataclass(frozen=True, slots=True)
class HandedBack:
    """The worker shuts down; the job goes back to the queue at once, no attempt used.

    ``began`` if the handler had begun: a job that must not run twice then fails instead.
    """

    reason: str = "worker is shutting down"
    abandoned: bool = False
    began: bool = False


@dataclass(frozen=True, slots=True)
class NotStarted:
    """The handler did not start, and the job is to try again at once; ``data`` say why."""

    reason: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CancelledByRequest:
    """The job ended because its cancel was requested."""

    abandoned: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """The job waits for a third party's callback and holds no slot; ``Waiting`` is written."""

    deadline: datetime


@dataclass(frozen=True, slots=True)
class Lost:
    """Trust in the lease ended, or the trail says that another epoch runs. Nothing is written."""

    reason: str


Outcome = (
    Completed
    | AttemptFailed
    | AttemptTimedOut
    | Deferred
    | HandedBack
    | NotStarted
    | CancelledByRequest
    | Waiting
    | Lost
)
