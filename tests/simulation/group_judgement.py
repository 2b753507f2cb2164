"""What must be true of groups, by the order in which storage took the events of a run."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from jobfleet_contracts.event import Event
from jobfleet_contracts.internal_job import GROUP_TYPE
from jobfleet_contracts.state import State, Status
from jobfleet_protocol.actions.group_counts import DISMISSED, mark_of, member_id
from jobfleet_protocol.trail.tombstone import is_tombstone
from tests.simulation.client_calls import ClientCall
from tests.simulation.group_wishes import CANCELLED_SECONDS, GROUP_VERB


def group_faults(
    written: Sequence[tuple[float, Event]], calls: Sequence[ClientCall], healed_at: float
) -> Iterator[str]:
    """Yield groups that ended too early, twice, or with a wrong count; or not as promised."""
    yield from _started_after_cancel(written, healed_at)
    trails: dict[str, list[tuple[int, Event]]] = defaultdict(list)
    for place, (_, event) in enumerate(written):
        trails[event.job_id].append((place, event))
    for job_id, events in trails.items():
        if events[0][1].facts.job_type == GROUP_TYPE:
            yield from _of_one(job_id, events, trails)
    for call in calls:
        if call.wish.verb == GROUP_VERB and call.granted:
            sealed = [e for _, e in trails[call.wish.job_id] if e.kind is Status.SEALED]
            if len(sealed) != 1 or sealed[0].data["total"] != call.wish.total:
                yield f"group {call.wish.job_id} was sealed, and {len(sealed)} seals stand"


def _started_after_cancel(
    written: Sequence[tuple[float, Event]], healed_at: float
) -> Iterator[str]:
    """A group whose cancel was asked for has cancelled its members some time later."""
    asked: dict[str, float] = {}
    groups: dict[str, str] = {}
    for at, event in written:
        if event.sequence == 1 and event.data.get("request", {}).get("member"):
            groups[event.job_id] = event.data["request"]["member"]["groupId"]
        if event.facts.job_type == GROUP_TYPE and event.kind is Status.CANCEL_REQUESTED:
            asked[event.job_id] = max(at, healed_at) + CANCELLED_SECONDS
        limit = asked.get(groups.get(event.job_id, ""), at)
        is_first = event.kind is Status.STARTED and event.after.incarnation == 1
        if is_first and at > limit:
            yield f"a member of cancelled group {groups[event.job_id]} started: {event.job_id}"


def _of_one(
    group: str, events: list[tuple[int, Event]], trails: dict[str, list[tuple[int, Event]]]
) -> Iterator[str]:
    endings = [(place, event) for place, event in events if _is_ending(event)]
    if len(endings) > 1:
        yield f"group {group} ended {len(endings)} times"
    for place, ending in endings:
        counted = ending.data.get("group")
        if counted is None:
            continue  # it was never sealed
        states: Counter[str] = Counter()
        for index in range(counted["total"]):
            incarnation = counted["incarnations"].get(str(index), 1)
            state = _state(trails[member_id(group, index)], index, incarnation, place)
            if state is None:
                yield f"group {group} ended before member {index}"
            else:
                states[state] += 1
        if states.total() == counted["total"] and not _agree(states, counted["states"]):
            yield f"group {group} counts {counted['states']}, and its members ended {states}"
        yield from _ended_rightly(group, ending, states, counted["total"])


_ENDS = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.TIMED_OUT})


def _is_ending(event: Event) -> bool:
    return event.kind in _ENDS and not is_tombstone(event)


def _state(
    events: list[tuple[int, Event]], index: int, incarnation: int, before: int
) -> str | None:
    """Return by what an incarnation of a member counted when its group ended."""
    found: str | None = None
    for place, event in events:
        after = event.after
        if is_tombstone(event):
            continue
        if place < before and after.incarnation == incarnation and after.state.is_terminal:
            found = mark_of(event, index)[1]
    return found


def _agree(states: Counter[str], counted: dict[str, int]) -> bool:
    """A dismissal may be in the trail before its mark does: then it counts as it ended."""
    if states == Counter(counted):
        return True
    completed = states[State.COMPLETED] == counted.get("completed", 0)
    return completed and states[DISMISSED] > counted.get(DISMISSED, 0)


def _ended_rightly(group: str, ending: Event, states: Counter[str], total: int) -> Iterator[str]:
    is_whole = states[State.COMPLETED] == total
    if is_whole != (ending.kind is Status.COMPLETED):
        yield f"group {group} is {ending.after.state}, and {states[State.COMPLETED]} completed"
