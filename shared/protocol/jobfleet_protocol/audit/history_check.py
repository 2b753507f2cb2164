"""Rules 1 to 8 and 10 over the history of one job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import timedelta

from jobfleet_contracts.errors import IllegalTransition
from jobfleet_contracts.event import UNREADABLE, Event, HeldLock, JobState
from jobfleet_contracts.lease import (
    FLEET_LOCK,
    LIMIT_LOCKS,
    generation_of,
    is_worker_lock,
    job_lock,
    key_locks,
)
from jobfleet_contracts.state import TERMINAL, State, Status
from jobfleet_protocol.audit.turn_ledger import Claim
from jobfleet_protocol.audit.violation import Note, Violation
from jobfleet_protocol.trail.tombstone import flaw_of, is_tombstone
from jobfleet_protocol.trail.transitions import change_of, follow

CLOCK_STEP = timedelta(seconds=1)
"""Times of neighbouring rows that fall by this much show a clock step; less is ordinary skew."""

_FIRST_REMOVED = 2
"""The retention removes this event first, and event 1 last."""
_AFTER_END = (Status.REDRIVEN, Status.DISMISSED, Status.ERASED)
_FROM_OUTSIDE = (Status.CANCEL_REQUESTED, Status.TAKEN_OVER)
_BY_THE_SENDER = (Status.STEP, Status.COMPLETED, Status.FAILED)
_FOLDED = tuple(f.name for f in fields(JobState) if f.name not in ("sequence", "epoch"))


class HistoryCheck:
    """Walks one job's rows, oldest first, beside the fold of them.

    The fold goes on from what a row should hold, so that one wrong row is named once. Where the
    next row holds the same, or a row is missing or cannot be read, it goes on from what is stored.

    Attributes:
        violations: what was found.
        notes: what a clock explains.
        claims: each ``Started`` under a shared lock, for rule 9 over all jobs.
    """

    def __init__(self) -> None:
        self.violations: list[Violation] = []
        self.notes: list[Note] = []
        self.claims: list[Claim] = []
        self._expected = 1
        self._base: Event | None = None
        self._blind = False
        self._holes = False
        self._is_sealed = False
        self._strayed = False
        self._ids: dict[str, int] = {}
        self._open: list[Claim] = []
        self._claimed: set[int] = set()
        self._generations: dict[str | None, int] = {}
        self._waited = False
        self._due_by: str | None = None
        self._fall = timedelta()

    def check(self, events: Sequence[Event]) -> HistoryCheck:
        """Check a complete history; garbage in a row is a violation, never an error."""
        stones = (place for place, event in enumerate(events) if is_tombstone(event))
        end = next(stones, len(events))
        self._is_sealed = end < len(events)
        for event in events[:end]:
            try:
                self._row(event)
            except (ValueError, TypeError, AttributeError, OverflowError) as error:
                self._report(3, event, f"the row cannot be read: {error}")
                self._lose_sight()
        if self._is_sealed:
            self._check_removed(*events[end:])
        else:
            self._check_last()
        return self

    def _check_removed(self, tombstone: Event, *others: Event) -> None:
        """Check the row that stands for a removed history, alone or as a seal behind its rows.

        The removal deletes the oldest rows first and event 1 last.
        """
        try:
            flaw = flaw_of(tombstone)
        except ValueError as error:
            flaw = str(error)
        if flaw is not None:
            self._report(2, tombstone, flaw)
        elif self._base is not None and tombstone.sequence == self._expected:
            self._check_seal(tombstone, self._base)
        self._check_sequence(tombstone)
        for event in others:
            self._report(4, event, f"{event.status} after the tombstone of a removed history")

    def _check_seal(self, seal: Event, head: Event) -> None:
        """The job ended as the seal says: its state is that of the row before."""
        after = replace(head.after, sequence=seal.sequence, lifecycle_before=head.newest_lifecycle)
        if seal.after != after or not _same_facts(head, seal):
            self._report(2, seal, "the seal says otherwise than the row before it")

    def _row(self, event: Event) -> None:
        self._check_id(event)
        self._check_sequence(event)
        kind = _kind_of(event)
        after = event.after
        if not self._blind:
            after = self._check_fold(event, kind)
        if kind is Status.STARTED:
            self._check_start(event)
        self._track(event, kind, after)
        self._base = event if after is event.after else replace(event, after=after)
        self._blind = False

    def _check_id(self, event: Event) -> None:
        first = self._ids.setdefault(event.event_id, event.sequence)
        if first != event.sequence:
            self._report(7, event, f"event id {event.event_id} stands at event {first} too")

    def _check_sequence(self, event: Event) -> None:
        found, expected = event.sequence, self._expected
        self._expected = found + 1
        if found != expected:
            if not (self._is_sealed and expected == _FIRST_REMOVED):
                self._report(1, event, f"event {expected} is missing; event {found} stands there")
            self._lose_sight()

    def _lose_sight(self) -> None:
        """The next row's past is unknown: take the row as it is stored."""
        self._base, self._blind, self._holes, self._strayed = None, True, True, False

    def _check_fold(self, event: Event, kind: Status) -> JobState:
        """Return the state from which to go on."""
        try:
            folded = follow(self._base, change_of(event), occurred_at=event.occurred_at)
        except IllegalTransition as error:
            self._report(*self._illegal(event, kind, str(error)))
            self._strayed = False
            return event.after
        if event.is_erased and kind is Status.TAKEN_OVER:
            # Whether another job was to blame stood in its data.
            folded = replace(folded, takeovers=event.after.takeovers)
        if self._base is not None:
            self._check_writer(event, kind, self._base.after)
            self._check_due(event, kind, self._base)
        if kind is Status.COMPLETED and not self._may_complete(folded.epoch):
            self._report(10, event, "Completed without a Started of its epoch, or a Waiting")
        return self._compare(event, folded)

    def _illegal(self, event: Event, kind: Status, reason: str) -> tuple[int, Event, str]:
        if self._base is not None and self._base.after.state in TERMINAL:
            if kind not in _AFTER_END:
                return 4, event, f"{event.status} after the job ended {self._base.after.state}"
        elif kind is Status.COMPLETED and not self._may_complete(event.after.epoch):
            return 10, event, "Completed without a Started of its epoch, or a Waiting"
        return 3, event, reason

    def _may_complete(self, epoch: int) -> bool:
        return self._holes or self._waited or epoch in self._claimed

    def _compare(self, event: Event, folded: JobState) -> JobState:
        stored = event.after
        same_facts = self._base is None or _same_facts(self._base, event)
        if stored == folded and same_facts:
            self._strayed = False
            return stored
        if stored.epoch != folded.epoch:
            self._report(5, event, self._epoch_message(event, folded))
        named = () if stored.attempt <= stored.max_attempts else ("max_attempts",)
        wrong = [n for n in _FOLDED if n not in named and getattr(stored, n) != getattr(folded, n)]
        if wrong:
            listed = ", ".join(
                f"{n} is {_show(getattr(stored, n))}, not {_show(getattr(folded, n))}"
                for n in wrong
            )
            self._report(2, event, f"after {event.status}: {listed}")
        if not same_facts:
            self._report(2, event, "the job's facts differ from those of the row before")
        again, self._strayed = self._strayed, True
        return stored if again else folded

    def _epoch_message(self, event: Event, folded: JobState) -> str:
        found = event.after.epoch
        before = 0 if self._base is None else self._base.after.epoch
        return f"epoch {found} at {event.status} after epoch {before}; {folded.epoch} is due"

    def _check_writer(self, event: Event, kind: Status, before: JobState) -> None:
        writer, holder = event.worker_id, before.worker_id
        claims = kind in (Status.STARTED, Status.TAKEN_OVER)
        if claims and writer is None:
            self._report(6, event, f"{event.status} names no worker")
        elif writer == holder:
            return
        elif before.state is State.RUNNING and kind not in _FROM_OUTSIDE:
            self._report(6, event, f"worker {writer} wrote in the epoch of worker {holder}")
        elif before.state is State.WAITING and kind in _BY_THE_SENDER and writer is not None:
            self._report(6, event, f"worker {writer} wrote for the waiting job of {holder}")

    def _check_start(self, event: Event) -> None:
        after, facts = event.after, event.facts
        if after.attempt > after.max_attempts:
            self._report(8, event, f"attempt {after.attempt} of at most {after.max_attempts}")
        own: tuple[str, ...] = (job_lock(facts.job_id),)
        if facts.lock_key is not None:
            # Each of the N slots has turns of its own, so no more than N jobs run at once.
            own = key_locks(facts.lock_key, facts.lock_slots)
        if is_worker_lock(after.lock) and facts.lock_key is None:
            self._check_generation(event)
        elif after.lock not in (*own, FLEET_LOCK):
            due = own[0] if len(own) == 1 else f"one of the {len(own)} slots of its key"
            self._report(9, event, f"claimed under lock {after.lock}, not {due}")
        shared = facts.lock_key is not None or after.lock == FLEET_LOCK
        places = [after.lock, *(held.lock for held in after.locks)]
        if len(set(places)) < len(places):
            self._report(9, event, f"claimed under one lock twice: {', '.join(map(str, places))}")
        for held in after.locks:
            if not held.lock.startswith(("key/", LIMIT_LOCKS)) or held.turn < 1:
                self._report(
                    9, event, f"turn {held.turn} of {held.lock}, which is not a limit's slot"
                )
        if shared != (after.lock_turn is not None):
            self._report(9, event, f"turn {after.lock_turn} under lock {after.lock}")

    def _check_generation(self, event: Event) -> None:
        """A worker's own lock names its worker; one that was left is never leased again."""
        lock, worker = event.after.lock, event.after.worker_id
        generation = generation_of(lock, worker)
        if generation is None:
            self._report(9, event, f"worker {worker} claimed under lock {lock}, not one of its own")
            return
        last = self._generations.get(worker, 0)
        if generation < last:
            self._report(9, event, f"claimed under lock {lock} after generation {last}")
        self._generations[worker] = max(last, generation)

    def _check_due(self, event: Event, kind: Status, base: Event) -> None:
        due_at = base.after.due_at
        if kind is not Status.STARTED or due_at is None or event.occurred_at >= due_at:
            return
        early = due_at - event.occurred_at
        fall = max(self._fall, base.occurred_at - event.occurred_at)
        message = f"attempt {event.after.attempt} started {early.total_seconds():.6f} s too early"
        if fall >= CLOCK_STEP:
            back = fall.total_seconds()
            self._note(event, f"{message}; a clock {back:.6f} s behind the rows before explains it")
        elif early < CLOCK_STEP and event.worker_id != self._due_by:
            self._note(event, f"{message}; skew between two clocks explains it")
        else:
            self._report(8, event, message)

    def _track(self, event: Event, kind: Status, after: JobState) -> None:
        before = self._base
        if before is not None:
            self._fall = max(self._fall, before.occurred_at - event.occurred_at)
        if before is None or before.after.due_at != after.due_at:
            self._due_by, self._fall = event.worker_id, timedelta()
        if kind is Status.TAKEN_OVER or after.state is not State.RUNNING:
            for claim in self._open:
                claim.closed_at = event.occurred_at
            self._open = []
        if kind is Status.STARTED:
            self._claimed.add(after.epoch)
            self._take_turns(event)
        elif kind is Status.WAITING:
            self._waited = True
        elif kind is Status.REDRIVEN:
            self._claimed, self._waited = set(), False

    def _take_turns(self, event: Event) -> None:
        """Note the turn under each shared lock that the claim holds."""
        lock, turn = event.after.lock, event.after.lock_turn
        held = list(event.after.locks)
        if lock is not None and turn is not None:
            held.insert(0, HeldLock(lock, turn))
        for place, number in held:
            earlier = next((one.turn for one in reversed(self.claims) if one.lock == place), 0)
            if number <= earlier:
                self._report(9, event, f"turn {number} of {place} after turn {earlier}")
                continue
            claim = Claim(place, number, event.job_id, event.sequence, event.occurred_at)
            self._open.append(claim)
            self.claims.append(claim)

    def _check_last(self) -> None:
        """Events that come in one transaction with the next cannot be the last."""
        if self._base is None:
            return
        kind, running = Status.of(self._base.status), self._base.after.state is State.RUNNING
        if kind is Status.ATTEMPT_FAILED or (kind is Status.TAKEN_OVER and running):
            self._report(3, self._base, f"{kind.value} is the last row; its other half is missing")

    def _report(self, rule: int, event: Event, message: str) -> None:
        self.violations.append(
            Violation(rule, event.job_id, event.sequence, event.event_id, message)
        )

    def _note(self, event: Event, message: str) -> None:
        self.notes.append(Note(8, event.job_id, event.sequence, event.event_id, message))


def _kind_of(event: Event) -> Status:
    if event.status == UNREADABLE:
        raise ValueError(event.message)
    kind = event.kind
    if kind is Status.STEP and not event.status[5:].isdecimal():
        raise ValueError(f"{event.status!r} is not a step")
    return kind


def _same_facts(one: Event, other: Event) -> bool:
    """Compare all but the creation time, in which two submits of one job may differ.

    An erasure removes the job's name from one row after the other.
    """
    before, facts = replace(one.facts, created_at=other.facts.created_at), other.facts
    if one.is_erased or other.is_erased or Status.ERASED in (one.status, other.status):
        before, facts = replace(before, job_name=""), replace(facts, job_name="")
    return before == facts


def _show(value: object) -> str:
    return str(value)
