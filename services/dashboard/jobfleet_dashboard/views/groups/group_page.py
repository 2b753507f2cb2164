"""What the page of one group shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from jobfleet_contracts.index import Page
from jobfleet_contracts.state import State
from jobfleet_dashboard.views.job.job_actions import CANCEL_GROUP, REDRIVE, Button
from jobfleet_protocol.actions.group_counts import DISMISSED
from jobfleet_protocol.reading.group_reader import OPEN
from jobfleet_protocol.reading.group_record import GroupRecord, MemberRecord
from jobfleet_protocol.reading.job_actions import JobAction

_ORDER = (State.COMPLETED, State.FAILED, State.TIMED_OUT, State.CANCELLED, DISMISSED)
_TONES = {DISMISSED: State.SCHEDULED.value, OPEN: State.QUEUED.value}
_LABELS = {State.TIMED_OUT.value: "timed out", OPEN: "not ended"}


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the bar: members that count by one state.

    Attributes:
        tone: name of the state whose colour it has.
        x, width: in per cent of the bar.
    """

    state: str
    label: str
    tone: str
    count: int
    x: float
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPage:
    """One group for the screen.

    Attributes:
        segments: parts of the bar; a group that is not sealed shows only members that have ended.
        members: those of this page; ``older`` leads to the next one.
        chosen: the state whose members are listed; ``None``: all.
    """

    record: GroupRecord
    sentence: str
    segments: tuple[Segment, ...]
    buttons: tuple[Button, ...]
    members: Sequence[MemberRecord]
    chosen: str | None
    cursor: str | None
    next: str | None

    @property
    def live(self) -> bool:
        """Whether anything more can be expected of the group itself."""
        return not self.record.job.newest.after.state.is_terminal

    def url(self, *, state: str | None = None, cursor: str | None = None, stream: str = "") -> str:
        """Return the address of a list of its members."""
        asked = {"state": state, "cursor": cursor}
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        return f"{stream}/groups/{self.record.group_id}{f'?{query}' if query else ''}"


def group_page(
    record: GroupRecord, members: Page[MemberRecord], *, chosen: str | None, cursor: str | None
) -> GroupPage:
    """Return the page of this group."""
    return GroupPage(
        record=record,
        sentence=_sentence(record),
        segments=tuple(_segments(record)),
        buttons=tuple(_button(record, action) for action in record.actions),
        members=members.items,
        chosen=chosen,
        cursor=cursor,
        next=members.next,
    )


def _segments(record: GroupRecord) -> Iterator[Segment]:
    counts = {str(state): record.count.states[state] for state in _ORDER}
    counts[OPEN] = 0 if record.total is None else max(0, record.total - record.count.members)
    whole, x = sum(counts.values()), 0.0
    for state, count in counts.items():
        if count:
            width = 100 * count / whole
            label, tone = _LABELS.get(state, state), _TONES.get(state, state)
            yield Segment(state, label, tone, count, round(x, 2), round(width, 2))
            x += width


def _button(record: GroupRecord, action: JobAction) -> Button:
    if action is JobAction.CANCEL:
        return CANCEL_GROUP
    ended = record.job.newest.after.state.is_terminal
    consequence = (
        "They run again for themselves: the group has ended, and stays as it is."
        if ended
        else "They go back to their queues as new incarnations; the group counts their next end."
    )
    return replace(
        REDRIVE,
        label="Redrive members",
        question="Redrive all members that did not complete?",
        consequence=consequence,
        asks_why="optional",
    )


def _sentence(record: GroupRecord) -> str:
    newest, count = record.job.newest, record.count
    if newest.after.state.is_terminal:
        return newest.message
    ended = f"{count.members:,} {'member has' if count.members == 1 else 'members have'} ended"
    if record.total is not None:
        ended = f"{count.members:,} of {record.total:,} members have ended"
    if record.is_cancelling:
        return f"{newest.message}; {ended}" if newest.after.cancel_requested else ended
    if record.total is None:
        return f"Not sealed: its caller may still add members; {ended}"
    if record.on_failure == "hold" and count.bad:
        they = "it is" if count.bad == 1 else "they are"
        return f"{ended}; held by {count.bad:,}, until {they} redriven or dismissed"
    return ended
