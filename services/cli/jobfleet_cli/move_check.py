"""Checks a file of ``audit export --move``, without the storage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from jobfleet_contracts.control import ControlEntry
from jobfleet_contracts.errors import InvalidRequest, SettingsError
from jobfleet_contracts.event import Event
from jobfleet_protocol.audit.control_check import ControlViolation, check_control_log
from jobfleet_protocol.audit.heads import Head
from jobfleet_protocol.audit.verification import Verifier, Violation
from jobfleet_protocol.moving.move_file import read_header, read_items
from jobfleet_protocol.moving.move_item import MoveCounts, MoveHeader, MoveItem


@dataclass(frozen=True, slots=True)
class CheckedMove:
    """A file that is complete, and what ``audit verify`` says of what it holds.

    Attributes:
        heads: the newest hash of each job.
        violations: those of the trail; ``broken`` counts also those that are not kept.
        control: violations of the control log.
    """

    header: MoveHeader
    counts: MoveCounts
    heads: Sequence[Head]
    violations: Sequence[Violation]
    control: Sequence[ControlViolation]
    broken: int

    @property
    def total(self) -> int:
        """How many violations were found in all."""
        return self.broken + len(self.control)


def check_move(path: Path, *, option: str) -> CheckedMove:
    """Read a file whole and check every rule that needs no storage.

    Args:
        option: that named the file, for errors.

    Raises:
        SettingsError: it cannot be read, was cut off or changed, or is none; names file and line.
    """
    verifier, heads, control = Verifier(), list[Head](), list[ControlViolation]()
    counts, job_id = MoveCounts(), ""
    header = move_header(path, option=option)
    for kind, items in groupby(move_items(path, option=option), key=_group):
        group = list(items)
        for item in group:
            of_job = item.job_id if isinstance(item, Event) else job_id
            counts, job_id = counts.plus(item, is_new_job=of_job != job_id), of_job
        history = [item for item in group if isinstance(item, Event)]
        if history:
            verifier.add(history)
            heads.append(Head.of(history))
        elif kind[0] == "control":
            control += check_control_log([e for e in group if isinstance(e, ControlEntry)])
    # What follows an end is submitted after the move, where the seal came in between.
    violations = verifier.finish(settled_before=datetime.min.replace(tzinfo=UTC))
    return CheckedMove(
        header=header,
        counts=counts,
        heads=heads,
        violations=violations,
        control=control,
        broken=verifier.violations.total,
    )


def move_header(path: Path, *, option: str) -> MoveHeader:
    """Read the first line."""
    try:
        with path.open("rb") as lines:
            return read_header(lines.readline())
    except OSError as error:
        raise SettingsError(f"{option}: {path} cannot be read: {error.strerror}") from error
    except InvalidRequest as error:
        raise SettingsError(f"{option}: {path}: {error}") from error


def move_items(path: Path, *, option: str) -> Iterator[MoveItem]:
    """Yield what the file holds; errors as in :func:`check_move`."""
    try:
        with path.open("rb") as lines:
            yield from read_items(lines)
    except OSError as error:
        raise SettingsError(f"{option}: {path} cannot be read: {error.strerror}") from error
    except InvalidRequest as error:
        raise SettingsError(f"{option}: {path}: {error}") from error


def _group(item: MoveItem) -> tuple[str, ...]:
    match item:
        case Event():
            return ("job", item.job_id)
        case ControlEntry():
            return ("control", item.subject.value, item.name)
        case _:
            return ("other",)
