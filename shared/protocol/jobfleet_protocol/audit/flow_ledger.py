"""Rules 13 and 14, which span jobs: successors, and groups with their members.

Only what event 1 tells is judged: a request in a blob, erased or removed says nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobfleet_contracts.event import Event
from jobfleet_contracts.group_marks import GroupMarks
from jobfleet_contracts.internal_job import GROUP_TYPE, is_internal_id
from jobfleet_contracts.state import TERMINAL, State, Status
from jobfleet_protocol.actions.group_counts import (
    DISMISSED,
    MOST_MEMBERS,
    block_partition,
    blocks_of,
    mark_of,
    member_id,
    newest_marks,
)
from jobfleet_protocol.actions.successors import successor_id
from jobfleet_protocol.audit.violation import Violation
from jobfleet_protocol.trail.tombstone import is_tombstone

CHAIN_RULE = 13
GROUP_RULE = 14
_ENDS = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.TIMED_OUT})


@dataclass(frozen=True, slots=True)
class _Place:
    """An event that promises something of other jobs."""

    job_id: str
    sequence: int
    event_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class _Counted:
    """A group's ending: by which states and incarnations it counts its members."""

    place: _Place
    kind: Status
    total: int
    states: Mapping[str, int]
    incarnations: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Finding:
    rule: int
    job_id: str
    message: str
    place: _Place | None = None
    again: tuple[str, ...] = ()


class FlowLedger:
    """Takes histories job by job; memory: a few hundred bytes a successor or member."""

    def __init__(self) -> None:
        self._due: dict[str, _Place] = {}
        self._undue: dict[str, _Place] = {}
        self._erased: set[str] = set()
        self._follows: dict[str, str] = {}
        self._silent: set[str] = set()
        self._internal: set[str] = set()
        self._ends: dict[str, dict[int, set[str]]] = {}
        self._members: dict[str, dict[int, str]] = defaultdict(dict)
        self._counted: dict[str, _Counted] = {}
        self._groups: set[str] = set()
        self._marks: dict[str, dict[str, str]] = {}

    def add(self, history: Sequence[Event]) -> None:
        """Take a job's complete history, oldest first; a later one replaces it."""
        job_id, request = history[0].job_id, _request(history)
        if is_internal_id(job_id):
            self._internal.add(job_id)
            self._ends[job_id] = _ends(history)
        if request is None:
            self._silent.add(job_id)
        else:
            self._take_request(job_id, request, history)
        if history[0].facts.job_type == GROUP_TYPE and not is_tombstone(history[-1]):
            self._take_group(job_id, history)

    def _take_request(
        self, job_id: str, request: Mapping[str, Any], history: Sequence[Event]
    ) -> None:
        if follows := request.get("follows"):
            self._follows[job_id] = follows["jobId"]
        if member := request.get("member"):
            self._members[member["groupId"]][member["index"]] = job_id
        newest = history[-1]
        is_erased = newest.is_readable and newest.kind is Status.ERASED
        for event in filter(_is_ending, history):
            for number, step in enumerate(request.get("then") or []):
                following = successor_id(job_id, number, event.after.incarnation)
                if not _is_due(step.get("when", "success"), event.after.state):
                    self._undue[following] = _place(event)
                elif is_erased:  # its result is not delivered, and may have gone before
                    self._erased.add(following)
                else:
                    self._due[following] = _place(event)

    def _take_group(self, job_id: str, history: Sequence[Event]) -> None:
        self._groups.add(job_id)
        for event in filter(_is_ending, history):
            match event.data.get("group"):
                case {
                    "total": int(total),
                    "states": dict(states),
                    "incarnations": dict(incarnations),
                } if total <= MOST_MEMBERS and _are_counts(states, incarnations):
                    self._counted[job_id] = _Counted(
                        _place(event), event.kind, total, states, incarnations
                    )

    def groups(self) -> Sequence[str]:
        """Return the groups whose marks are to be read, see :meth:`add_marks`."""
        return sorted(self._groups)

    def last_place(self, group_id: str) -> int:
        """Return the highest place of a group's members, -1 for none."""
        counted = self._counted.get(group_id)
        known = max(self._members.get(group_id, {-1: ""}))
        return known if counted is None else max(known, counted.total - 1)

    def add_marks(self, group_id: str, rows: Mapping[str, str]) -> None:
        """Take all marks of a group."""
        self._marks[group_id] = dict(rows)

    def doubtful(self) -> list[str]:
        """Return jobs to read again: in a living fleet they may have gone on by now."""
        return sorted({job_id for finding in self._all() for job_id in finding.again})

    def violations(self, *, settled_before: datetime | None = None) -> Iterator[Violation]:
        """Yield what is broken.

        Args:
            settled_before: what younger events ask for may be on its way; ``None``: nothing is.
        """
        for found in self._all():
            place = found.place
            if place is None:
                yield Violation(found.rule, found.job_id, None, None, found.message)
            elif settled_before is None or place.at < settled_before:
                number, event_id = place.sequence, place.event_id
                yield Violation(found.rule, found.job_id, number, event_id, found.message)

    def _all(self) -> Iterator[_Finding]:
        for following, place in self._due.items():
            if following not in self._internal:
                message = f"its successor {following} is missing"
                yield _Finding(CHAIN_RULE, place.job_id, message, place, again=(following,))
        for following, place in self._undue.items():
            if following in self._internal and following not in self._due:
                message = f"job {following} follows it, which such an end does not ask for"
                yield _Finding(CHAIN_RULE, place.job_id, message, place)
        for job_id, before in self._follows.items():
            asked = job_id in self._due or job_id in self._undue or job_id in self._erased
            if not asked and before not in self._silent:
                message = f"job {before} does not ask for this successor"
                yield _Finding(CHAIN_RULE, job_id, message, again=(before,))
        for group_id, members in self._members.items():
            yield from self._places(group_id, members)
        for group_id, counted in self._counted.items():
            yield from self._count(group_id, counted)
        for group_id, rows in self._marks.items():
            yield from self._compare_marks(group_id, rows)

    def _places(self, group_id: str, members: Mapping[int, str]) -> Iterator[_Finding]:
        counted = self._counted.get(group_id)
        for index, job_id in members.items():
            if job_id != member_id(group_id, index):
                message = f"member {index} of group {group_id} has another id"
                yield _Finding(GROUP_RULE, job_id, message)
            elif counted is not None and index >= counted.total:
                message = f"it is member {index} of group {group_id}, which has {counted.total}"
                yield _Finding(GROUP_RULE, job_id, message)

    def _count(self, group_id: str, counted: _Counted) -> Iterator[_Finding]:
        least: Counter[str] = Counter()
        most: Counter[str] = Counter()
        for index in range(counted.total):
            member = member_id(group_id, index)
            incarnation = counted.incarnations.get(str(index), 1)
            ends = self._ends.get(member, {}).get(incarnation)
            if ends is None:
                message = f"it counts member {index}, whose incarnation {incarnation} has not ended"
                yield _Finding(GROUP_RULE, group_id, message, counted.place, again=(member,))
                return
            most.update(ends)
            if len(ends) == 1:
                least.update(ends)
        states = Counter(counted.states)
        if states.total() != counted.total or least - states or states - most:
            message = f"it counts {dict(states)}, and its members ended {dict(most)}"
            yield _Finding(GROUP_RULE, group_id, message, counted.place)
        completed = states[State.COMPLETED]
        if (completed == counted.total) != (counted.kind is Status.COMPLETED):
            message = f"it is {counted.kind}, and {completed} of {counted.total} completed"
            yield _Finding(GROUP_RULE, group_id, message, counted.place)

    def _compare_marks(self, group_id: str, rows: Mapping[str, str]) -> Iterator[_Finding]:
        for row, state in rows.items():
            index, incarnation = map(int, row.split("~")[:2])
            member = member_id(group_id, index)
            if state not in self._ends.get(member, {}).get(incarnation, set()):
                message = f"the mark of member {index} says {state}, and its trail does not"
                yield _Finding(GROUP_RULE, group_id, message, again=(member, group_id))
        counted, marked = self._counted.get(group_id), newest_marks(rows)
        for index in range(counted.total) if counted is not None else ():
            if index not in marked and member_id(group_id, index) not in self._silent:
                message = f"member {index} has no mark, and the group has ended"
                yield _Finding(GROUP_RULE, group_id, message, again=(group_id,))


async def read_marks(ledger: FlowLedger, marks: GroupMarks) -> None:
    """Give a ledger the marks of all its groups.

    Raises:
        BackendUnavailable: storage does not answer.
    """
    for group_id in ledger.groups():
        rows: dict[str, str] = {}
        for block in blocks_of(ledger.last_place(group_id) + 1):
            rows |= await marks.read(block_partition(group_id, block))
        ledger.add_marks(group_id, rows)


def _request(history: Sequence[Event]) -> Mapping[str, Any] | None:
    if is_tombstone(history[-1]) or not history[0].is_readable:
        return None
    request = history[0].data.get("request")
    return request if isinstance(request, Mapping) and _is_readable(request) else None


def _is_readable(request: Mapping[str, Any]) -> bool:
    """Whether what says of other jobs has its form; the stored row may have been changed."""
    match request.get("follows"), request.get("member"), request.get("then") or []:
        case (
            None | {"jobId": str()},
            None | {"groupId": str(), "index": int()},
            [*steps],
        ):
            return all(isinstance(step, Mapping) for step in steps)
    return False


def _are_counts(*found: Mapping[str, Any]) -> bool:
    return all(type(value) is int for each in found for value in each.values())


def _is_ending(event: Event) -> bool:
    return event.is_readable and event.kind in _ENDS and not is_tombstone(event)


def _is_due(when: str, state: State) -> bool:
    return when == "always" or (state is State.COMPLETED) == (when == "success")


def _ends(history: Sequence[Event]) -> dict[int, set[str]]:
    """Return by which states each incarnation may count."""
    found: dict[int, set[str]] = defaultdict(set)
    for event in history:
        if event.is_readable and event.after.state.is_terminal:
            found[event.after.incarnation] |= {event.after.state.value, mark_of(event, 0)[1]}
    if is_tombstone(history[-1]):  # how earlier incarnations ended is gone with their rows
        newest = history[-1].after.incarnation
        found |= {number: {*TERMINAL, DISMISSED} for number in range(1, newest)}
    return dict(found)


def _place(event: Event) -> _Place:
    return _Place(event.job_id, event.sequence, event.event_id, event.occurred_at)
