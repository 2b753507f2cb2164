"""What a fleet that is moved consists of: the header of the file, and an item for each line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from jobfleet_contracts.control import ControlEntry
from jobfleet_contracts.event import Event


@dataclass(frozen=True, slots=True)
class MoveHeader:
    """Where the file comes from.

    Attributes:
        move_id: the seal under which it was written. A second export under it is the same move.
        backend: name of the backend that it was read from.
    """

    move_id: str
    backend: str
    sealed_by: str
    sealed_at: datetime


@dataclass(frozen=True, slots=True)
class MovedNote:
    """The note of a lock that several jobs share: the highest turn."""

    lock: str
    note: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class MovedRate:
    """The count of one rate key."""

    key: str
    moment: datetime


@dataclass(frozen=True, slots=True)
class MovedBlob:
    """A value of the payload store that belongs to no event."""

    name: str
    body: bytes


@dataclass(frozen=True, slots=True)
class MovedLog:
    """A part of what a handler logged; the parts of a log follow one another."""

    job_id: str
    epoch: int
    position: int
    body: bytes


@dataclass(frozen=True, slots=True)
class MoveCounts:
    """How many of each kind the file holds."""

    jobs: int = 0
    events: int = 0
    entries: int = 0
    notes: int = 0
    rates: int = 0
    blobs: int = 0
    logs: int = 0

    def plus(self, item: MoveItem, *, is_new_job: bool) -> MoveCounts:
        """Count one more."""
        match item:
            case Event():
                return replace(self, events=self.events + 1, jobs=self.jobs + is_new_job)
            case ControlEntry():
                return replace(self, entries=self.entries + 1)
            case MovedNote():
                return replace(self, notes=self.notes + 1)
            case MovedRate():
                return replace(self, rates=self.rates + 1)
            case MovedBlob():
                return replace(self, blobs=self.blobs + 1)
            case MovedLog():
                return replace(self, logs=self.logs + (item.position == 0))

    def __str__(self) -> str:
        return ", ".join(f"{count} {name}" for name, count in asdict(self).items())


MoveItem = Event | ControlEntry | MovedNote | MovedRate | MovedBlob | MovedLog


def label(item: MoveItem) -> str:
    """Return what an item is called in a line about it."""
    match item:
        case Event():
            return f"job {item.job_id}, for its event {item.sequence},"
        case ControlEntry():
            return f"entry {item.sequence} of {item.subject} {item.name}"
        case MovedNote(lock, _):
            return f"the note of lock {lock}"
        case MovedRate(key, _):
            return f"the count of rate {key}"
        case MovedBlob(name, _):
            return f"the value {name}"
        case MovedLog(job_id, epoch, _, _):
            return f"a part of log {epoch} of job {job_id}"
