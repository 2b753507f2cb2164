"""Marks of a group's members: their keys, and how they are counted. No requests here.

Members stand in blocks of 100, a partition each. The root holds one row per full block, and a newer
one for each mark that comes after.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from jobfleet_contracts.codec import decode, encode_text
from jobfleet_contracts.event import Event
from jobfleet_contracts.internal_job import GROUP_TYPE, internal_job_id
from jobfleet_contracts.state import State, Status
from jobfleet_protocol.trail.erased_values import is_withdrawn

BLOCK = 100
"""Members of a block. A block is read whole after each insert."""
MOST_MEMBERS = 100_000
DISMISSED = "dismissed"


def member_id(group_id: str, index: int) -> str:
    """Return the id of the member at a place in a group."""
    return internal_job_id("member", group_id, str(index))


def block_of(index: int) -> int:
    """Return the number of the block in which a member stands."""
    return index // BLOCK


def block_partition(group_id: str, block: int) -> str:
    """Return the partition of the marks of one block."""
    return f"{group_id}~{block}"


def root_partition(group_id: str) -> str:
    """Return the partition of the counts of full blocks."""
    return f"{group_id}~root"


def mark_of(head: Event, index: int) -> tuple[str, str]:
    """Return the row key and the value of the mark that a member's newest event asks for.

    A member that cannot run again counts as dismissed: its values or its history are gone, or
    it is a group that was cancelled. A group on hold would wait for it for ever.
    """
    row = f"{index}~{head.after.incarnation}"
    if head.kind is Status.DISMISSED or _is_given_up(head):
        return f"{row}~{DISMISSED}", DISMISSED
    return row, head.after.state.value


def _is_given_up(head: Event) -> bool:
    if head.after.state is State.COMPLETED:
        return False
    is_group = head.facts.job_type == GROUP_TYPE and head.after.state is State.CANCELLED
    return is_group or is_withdrawn(head)


def marks_in(history: Sequence[Event]) -> Iterator[tuple[str, str, str]]:
    """Yield partition, row and value of all marks that a member's history has led to.

    A stored request that cannot be read leads to none, and ends no rebuild.

    Args:
        history: complete, with the data of event 1.
    """
    match history[0].data.get("request"):
        case {"member": {"groupId": str(group_id), "index": int(index)}}:
            partition = block_partition(group_id, block_of(index))
        case _:
            return
    for event in history:
        if event.is_readable and event.after.state.is_terminal:
            yield partition, *mark_of(event, index)


def blocks_of(total: int) -> range:
    """Return the numbers of the blocks of a group."""
    return range(-(-total // BLOCK))


def places_of(block: int, total: int | None) -> range:
    """Return the places of a block's members."""
    return range(block * BLOCK, block * BLOCK + size_of(block, total))


def size_of(block: int, total: int | None) -> int:
    """Return how many members a block has; a group that is not sealed has whole blocks only."""
    return BLOCK if total is None else min(BLOCK, total - block * BLOCK)


def is_bad(state: str) -> bool:
    """Whether a member with such a mark neither completed nor was given up by an operator."""
    return state not in (State.COMPLETED, DISMISSED)


@dataclass(frozen=True, slots=True)
class Count:
    """How the members of a block or a group ended, each by its newest mark.

    Attributes:
        states: number of members by state; ``dismissed`` is one of them.
        incarnations: the counted incarnation of each member, by index, if it is not the first.
    """

    states: Counter[str] = field(default_factory=Counter)
    incarnations: dict[str, int] = field(default_factory=dict)

    @property
    def members(self) -> int:
        """How many members have ended."""
        return self.states.total()

    @property
    def bad(self) -> int:
        """How many neither completed nor were dismissed."""
        return sum(number for state, number in self.states.items() if is_bad(state))

    def to_text(self) -> str:
        """Return the value of the root's row."""
        return encode_text({"states": dict(self.states), "incarnations": self.incarnations})

    @classmethod
    def of_text(cls, text: str) -> Count:
        """Read that value."""
        fields = decode(text)
        return cls(Counter(fields["states"]), fields["incarnations"])

    @classmethod
    def of_marks(cls, rows: Mapping[str, str]) -> Count:
        """Count the members of a block."""
        newest = newest_marks(rows)
        return cls(
            states=Counter(state for _, state in newest.values()),
            incarnations={str(i): inc for i, (inc, _) in sorted(newest.items()) if inc > 1},
        )

    @classmethod
    def sum(cls, counts: Iterable[Count]) -> Count:
        """Add up the counts of all blocks."""
        whole = cls()
        for count in counts:
            whole.states.update(count.states)
            whole.incarnations.update(count.incarnations)
        return whole


def newest_marks(rows: Mapping[str, str]) -> dict[int, tuple[int, str]]:
    """Return the incarnation and state by which each member counts; a dismissal is the newest."""
    found: dict[int, tuple[int, bool, str]] = {}
    for row, state in rows.items():
        index, incarnation, *dismissed = row.split("~")
        mark = int(incarnation), bool(dismissed), state
        found[int(index)] = max(found.get(int(index), mark), mark)
    return {index: (incarnation, state) for index, (incarnation, _, state) in found.items()}


def newest_counts(root: Mapping[str, str]) -> dict[int, Count]:
    """Return the count of each block that was full: that of its highest number of marks."""
    numbers: dict[int, int] = {}
    for row in root:
        block, number = map(int, row.split("~"))
        numbers[block] = max(numbers.get(block, 0), number)
    return {b: Count.of_text(root[f"{b}~{number}"]) for b, number in numbers.items()}
