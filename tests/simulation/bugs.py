"""Deliberate bugs in the protocol, each a small patch: the simulation has to see every one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from unittest.mock import patch

from jobfleet_backends.azure.table_limits import LIMITS
from jobfleet_contracts.errors import BackendError, SequenceTaken, TrustEnded
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import IndexedEvent
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.lease import Lease
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.outcome import Outcome
from jobfleet_contracts.ports import PayloadStore
from jobfleet_contracts.state import TERMINAL, State, Status
from jobfleet_protocol.actions import redrive, submission
from jobfleet_protocol.actions.callbacks import Callbacks
from jobfleet_protocol.claiming import decision, trail_claim, trail_opening
from jobfleet_protocol.claiming.decision import LockView
from jobfleet_protocol.claiming.lock_leases import LockLeases
from jobfleet_protocol.claiming.lock_turns import LockTurns, TurnView
from jobfleet_protocol.claiming.trail_claim import TrailClaim
from jobfleet_protocol.retry import retry_forever
from jobfleet_protocol.trail import chain, transitions
from jobfleet_protocol.trail.held_trail import Decision, HeldTrail
from jobfleet_protocol.trail.large_data import externalise
from jobfleet_protocol.trail.tombstone import tombstone_of
from jobfleet_protocol.trail.trail_writer import TrailWriter
from jobfleet_protocol.trail.transitions import Change
from jobfleet_worker.run.follow_up import FollowUp
from jobfleet_worker.run.outcome_record import OutcomeRecord
from jobfleet_worker.upkeep.retention import Retention
from tests.simulation.claim_bugs import (
    copies_live_on,
    missing_handler_fails_at_once,
    never_waits_longer,
    suspects_beside_others,
    waits_again_at_once,
    waits_without_a_bound,
)
from tests.simulation.fake_leases import FakeLeaseStore
from tests.simulation.hash_bugs import (
    hash_of_a_stale_row,
    hash_of_another_event_1,
    old_row_changed,
    tail_written_anew,
)
from tests.simulation.lifecycle_bugs import a_step_named_as_lifecycle_event
from tests.simulation.limit_bugs import (
    limits_read_once,
    number_is_part_of_the_slot,
    slot_kept_after_a_takeover,
    slots_given_back_too_early,
)
from tests.simulation.loss_bugs import a_claim_without_the_limit, a_lone_takeover
from tests.simulation.pause_bugs import (
    a_claim_heeds_no_pause,
    a_restart_resumes,
    an_old_look_counts_for_ever,
    the_resume_publishes,
)
from tests.simulation.rate_bugs import a_row_written_without_a_look, rate_counted_at_admission
from tests.simulation.schedule_bugs import (
    a_deployment_resumes,
    fired_whatever_stands_meanwhile,
    operators_do_not_settle,
    submitted_before_the_entry,
    ticks_from_the_wall_clock,
    two_leaders_fire_one_tick,
)
from tests.simulation.scope_bugs import (
    given_up_in_silence,
    lost_lease_taken_again,
    running_on_the_own_lock_means_lost,
    trust_not_checked_before_the_insert,
)
from tests.simulation.slot_bugs import (
    limit_exceeded_after_a_takeover,
    slot_leaked_by_a_crash,
    slot_released_twice,
    stale_note_of_another_slot,
)


def no_epoch_check() -> AbstractContextManager[Any]:
    """A holder takes every event beside its own for a cancel request, and goes on."""

    def holds(self: HeldTrail, newest: Event) -> bool:
        return newest.after.state in (State.RUNNING, State.WAITING)

    return patch.object(HeldTrail, "holds", holds)


def refusal_means_not_written() -> AbstractContextManager[Any]:
    """A refusal is taken for somebody else's event, though it may be one's own."""

    async def until_answered(self: TrailWriter, events: Sequence[Event]) -> Event | None:
        events = await _stored(events, self._payloads)
        while True:
            try:
                await self._trail.insert(events)
            except SequenceTaken:
                return await self._look(events[0])
            except BackendError:
                continue
            self._copy(events)
            return None

    return patch.object(TrailWriter, "_until_answered", until_answered)


def refusal_means_written() -> AbstractContextManager[Any]:
    """A refusal is taken for an earlier try of one's own."""

    async def until_answered(self: TrailWriter, events: Sequence[Event]) -> Event | None:
        events = await _stored(events, self._payloads)
        while True:
            try:
                await self._trail.insert(events)
            except SequenceTaken:
                pass
            except BackendError:
                continue
            self._copy(events)
            return None

    return patch.object(TrailWriter, "_until_answered", until_answered)


@contextmanager
def fresh_event_id_at_each_try() -> Iterator[None]:
    """One's own earlier try is not known again."""

    async def until_answered(self: TrailWriter, events: Sequence[Event]) -> Event | None:
        events = await _stored(events, self._payloads)
        while True:
            events = [replace(event, event_id=new_id()) for event in events]
            try:
                await self._trail.insert(events)
            except BackendError:
                found = await self._look(events[0])
                if found is None:
                    continue
                if found.event_id != events[0].event_id:
                    return found
            self._copy(events)
            return None

    def columns_but_the_id(event: Event) -> tuple[Any, ...]:
        return columns(replace(event, event_id=""))

    columns = chain._columns
    with ExitStack() as stack:
        # The hash would show it at once; the append rule has to show it by itself.
        stack.enter_context(patch.object(chain, "_columns", columns_but_the_id))
        stack.enter_context(patch.object(TrailWriter, "_until_answered", until_answered))
        yield


def open_row_removed_first() -> AbstractContextManager[Any]:
    """The open row goes before the terminal event; a crash between the two hides the job."""
    write = HeldTrail.write

    async def hasty(self: HeldTrail, decide: Decision, *, last: bool = False) -> Event:
        if last and decide(self.head)[-1].kind in (
            Status.COMPLETED,
            Status.FAILED,
            Status.CANCELLED,
        ):
            await self._writer._index.close(self.head.job_id, self.head.after.incarnation)
        return await write(self, decide, last=last)

    return patch.object(HeldTrail, "write", hasty)


@contextmanager
def terminal_not_absorbing() -> Iterator[None]:
    """A job that ended can be claimed again."""
    may_start: Mapping[Status, frozenset[State]] = {
        **transitions._FROM,
        Status.STARTED: transitions._FROM[Status.STARTED] | TERMINAL,
    }
    judge = decision.decide

    def claim_all(head: Event, message: JobMessage, lease: LockView, now: datetime) -> Any:
        if head.after.state is State.COMPLETED and lease.is_held:
            return decision._claim(head, lease, now)
        return judge(head, message, lease, now)

    with ExitStack() as stack:
        stack.enter_context(patch.object(transitions, "_FROM", may_start))
        stack.enter_context(patch.object(trail_claim, "decide", claim_all))
        yield


def predecessor_not_fenced() -> AbstractContextManager[Any]:
    """The successor under a lock leaves the trail of its predecessor as it is."""

    async def closed(self: LockTurns, view: TurnView) -> bool:
        return True

    return patch.object(LockTurns, "_closed", closed)


@contextmanager
def trust_checked_before_the_read() -> Iterator[None]:
    """A claimer that sleeps in its read goes on as if it held the lease."""
    look, trusts = TrailClaim._look, LockLeases.trusts

    async def look_in_trust(
        self: TrailClaim, message: JobMessage, lease: Lease, **how: bool
    ) -> TurnView:
        if not trusts(self._leases, lease):
            raise TrustEnded("the lease ran out")
        return await look(self, message, lease, **how)

    def always(self: LockLeases, lease: Lease) -> bool:
        return True

    with ExitStack() as stack:
        stack.enter_context(patch.object(TrailClaim, "_look", look_in_trust))
        stack.enter_context(patch.object(LockLeases, "trusts", always))
        yield


async def _stored(events: Sequence[Event], payloads: PayloadStore) -> Sequence[Event]:
    async def store() -> Sequence[Event]:
        return [
            await externalise(event, payloads, inline_bytes=LIMITS.inline_bytes) for event in events
        ]

    return await retry_forever(store)


@contextmanager
def callback_left_behind() -> Iterator[None]:
    """The open row goes though the callback job could not be submitted."""
    quietly = FollowUp._quietly

    async def pleased(self: FollowUp, step: Any) -> bool:
        await quietly(self, step)
        return True

    with patch.object(FollowUp, "_quietly", pleased):
        yield


@contextmanager
def late_note_accepted() -> Iterator[None]:
    """The note of a lock is written whatever note stands there by now."""
    write_note = FakeLeaseStore.write_note

    async def write(self: FakeLeaseStore, lock: str, lease_id: str, note: Any, **_: Any) -> None:
        await write_note(self, lock, lease_id, note)

    with patch.object(FakeLeaseStore, "write_note", write):
        yield


@contextmanager
def fleet_trust_by_hearsay() -> Iterator[None]:
    """The holder of the fleet's lease fences without a look at the clock."""
    fence_named = LockTurns.fence_named

    async def fence(self: LockTurns, *, lock: str, trusted: Callable[[], bool]) -> None:
        await fence_named(self, lock=lock, trusted=lambda: True)

    with patch.object(LockTurns, "fence_named", fence):
        yield


def claim_after_an_unclear_release() -> AbstractContextManager[Any]:
    """A claim whose release was unclear is made again under the same lease id."""
    return patch.object(LockLeases, "let_go", LockLeases.give_up)


def sent_and_denied() -> AbstractContextManager[Any]:
    """What a sender writes at its end does not look at whether the request is known as sent."""
    changes = OutcomeRecord.changes

    def deny(self: OutcomeRecord, outcome: Outcome, head: Event, **how: int) -> Sequence[Change]:
        return changes(self, outcome, replace(head, after=replace(head.after, sent=False)), **how)

    return patch.object(OutcomeRecord, "changes", deny)


def removed_without_a_seal() -> AbstractContextManager[Any]:
    """The retention takes a history out while a redrive may still follow it."""

    async def remove(self: Retention, found: IndexedEvent, head: Event) -> None:
        ending, opening = await self._ending(head), await self._trail.read(head.job_id, 1)
        if ending is None or opening is None:
            return
        stone = tombstone_of(ending, head, digest=await self._digest(opening), message="")
        await self._unlist_before(head.job_id, head.sequence)
        await self._store.forget(stone, last=head.sequence)
        await self._finish(head.job_id, [found])

    return patch.object(Retention, "_seal", remove)


def removed_right_after_its_seal() -> AbstractContextManager[Any]:
    """The retention does not wait for a second copy of its seal."""
    return patch("jobfleet_worker.upkeep.retention.SEALED_AT_MOST", 0.0)


@contextmanager
def slept_between_row_and_event() -> Iterator[None]:
    """A submitter publishes and answers as if its open row stood, however long it slept."""

    async def believe(*_: Any, **__: Any) -> None:
        return

    with ExitStack() as stack:
        for module in (submission, redrive, trail_opening):
            stack.enter_context(patch.object(module, "reopen_if_slow", believe))
        yield


def token_not_checked() -> AbstractContextManager[Any]:
    """A signed result is taken at whatever address it is posted to."""

    def any_address(self: Callbacks, job_id: str, incarnation: int, token: str | None) -> None:
        return

    return patch.object(Callbacks, "check_address", any_address)


Bug = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True, slots=True)
class Known:
    """A bug, and the first seed that shows it.

    Attributes:
        emphasis: what is not left to the seed, so that a rare accident comes often enough.
    """

    name: str
    bug: Bug
    seed: int
    emphasis: Mapping[str, Any] = field(default_factory=dict)


_UNCLEAR = dict.fromkeys(("lost before", "lost after", "twice", "twice late", "slow"), 0.1)
_LATE = {"fault_rate": 0.15, "weights": {**_UNCLEAR, "late": 3, "slow": 1}}
_PLAIN = {
    "lacking": 0,
    "killers": 0,
    "pauses": False,
    "schedules": False,
    "lock_slots": 1,
    "rate": None,
    "limits": False,
    "impatient": 0.0,
    "stale_connections": False,
    "retention_seconds": None,
}
_MANY_LATE = _LATE | _PLAIN | {"jobs": 12, "fault_rate": 0.3}
_SLEEP = {
    "lease_seconds": 60,
    "stall_rate": 0.1,
    "fault_rate": 0.05,
    "fault_seconds": 400,
    "operator_action_seconds": 15,
    "clock_steps": False,
    "apis": 1,
    "jobs": 9,
    "stale_connections": True,
    "impatient": 1.0,
    "lacking": 0,
    "schedules": False,
    "retention_seconds": None,
}
_KILLER = {"killers": 1, "concurrency": 4, "workers": 2, "lacking": 0, "fleet_scope": False}
_OLD = {"retention_seconds": 240.0, "fault_seconds": 500.0, "clock_steps": False}

BY_DESIGN = (
    Known("no epoch check", no_epoch_check, 10),
    Known('refusal read as "not written"', refusal_means_not_written, 6),
    Known('refusal read as "written"', refusal_means_written, 0),
    Known("a fresh event id at each try", fresh_event_id_at_each_try, 313),
    Known("open row removed before the terminal event", open_row_removed_first, 122),
    Known("terminal state not absorbing", terminal_not_absorbing, 4),
    Known("predecessor under a lock key not fenced", predecessor_not_fenced, 34),
    Known("trust checked before the read", trust_checked_before_the_read, 40),
)
"""The design names seven; the two readings of a refusal count as one there."""

BY_THE_HASHES = (
    Known("an event chained to a row known before the newest", hash_of_a_stale_row, 3),
    Known("a message with the hash of another event 1", hash_of_another_event_1, 3),
    Known("an old row's message changed", old_row_changed(message="?"), 0),
    Known(
        "an old row's result changed", old_row_changed(data={"result": {"epoch": 1}, "more": 0}), 0
    ),
    Known("an old row's duration changed", old_row_changed(duration_ms=0), 0),
    Known("a tail written anew with hashes that fit", tail_written_anew, 0),
)
"""What the hash chain has to show, and the heads of an earlier time."""

_PUT_OFF = {
    "rate": "6/minute",
    "workers": 4,
    "lacking": 3,
    "jobs": 9,
    "fleet_scope": False,
    "stale_connections": True,
    "fault_rate": 0.1,
    "retention_seconds": None,
    "crowded": False,
    "killers": 0,
}

BY_THE_SIMULATION = (
    Known("copies of a message live beside each other", copies_live_on, 2, _PUT_OFF),
    Known("open row removed though the callback job was not submitted", callback_left_behind, 151),
    Known(
        "a late note of a lock covers a newer one",
        late_note_accepted,
        6,
        _LATE | {"fleet_scope": True},
    ),
    Known(
        "the fleet's lease trusted without a look at the clock",
        fleet_trust_by_hearsay,
        16,
        {
            "fleet_scope": True,
            "fault_rate": 0.05,
            "stall_rate": 0.03,
            "operator_action_seconds": 15,
        },
    ),
    Known(
        "claimed again under a lease id whose release is unclear",
        claim_after_an_unclear_release,
        543,
        _LATE | {"fleet_scope": False, "fault_rate": 0.25, "lock_keys": 1, "jobs": 9},
    ),
    Known(
        "a job failed by a worker that lacks its type, beside one that has it",
        missing_handler_fails_at_once,
        0,
        {"lacking": 1},
    ),
    Known(
        "a submitter that slept between open row and event 1",
        slept_between_row_and_event,
        19,
        _SLEEP,
    ),
    Known("a result taken for a later incarnation's", token_not_checked, 53),
    Known(
        "a job blamed for a neighbour that kills its workers", suspects_beside_others, 1, _KILLER
    ),
    Known("a request denied that was sent", sent_and_denied, 77, _MANY_LATE),
    Known("a history removed without a seal", removed_without_a_seal, 0, _OLD),
    Known("a history removed right after its seal", removed_right_after_its_seal, 16, _OLD | _LATE),
)
"""Once they were real: the simulation found them in this code, and must find them again."""

_RECURRING = {"schedules": True, "clock_steps": False, "retention_seconds": None}

OF_SCHEDULES = (
    Known("a tick's job made before its entry", submitted_before_the_entry, 8, _RECURRING),
    Known("an operator's entry hides an unfinished tick", operators_do_not_settle, 5, _RECURRING),
    Known("ticks counted from the wall clock", ticks_from_the_wall_clock, 0, _RECURRING),
    Known("two leaders fire one tick", two_leaders_fire_one_tick, 0, _RECURRING),
    Known("a deployment resumes a pause", a_deployment_resumes, 19, _RECURRING),
    Known("a tick fired on top of a pause", fired_whatever_stands_meanwhile, 2, _RECURRING),
)
"""Faults of other schedulers."""

_SLOTS = {"lock_slots": 2, "lock_keys": 1, "jobs": 9, "fleet_scope": False}
_SLOTS_IN_BAD_WEATHER = _SLOTS | {
    "fault_rate": 0.1,
    "stall_rate": 0.01,
    "operator_action_seconds": 15,
}

_LIMITED = {
    "limits": True,
    "jobs": 9,
    "fleet_scope": False,
    "clock_steps": False,
    "retention_seconds": None,
    "fault_rate": 0.1,
    "stall_rate": 0.01,
    "operator_action_seconds": 15,
}
_RATED = {
    "rate": "6/minute",
    "jobs": 9,
    "fleet_scope": False,
    "clock_steps": False,
    "fault_rate": 0.1,
    "stall_rate": 0.01,
    "operator_action_seconds": 15,
}

OF_LIMITS = (
    Known("a stale note of another slot", stale_note_of_another_slot, 87, _SLOTS),
    Known(
        "the number of slots is part of a named limit's slot",
        number_is_part_of_the_slot,
        0,
        _LIMITED,
    ),
    Known("one of two slots kept after a takeover", slot_kept_after_a_takeover, 7, _LIMITED),
    Known("limits read once", limits_read_once, 0, _LIMITED),
    Known("slots of a limit given back too early", slots_given_back_too_early, 0, _LIMITED),
    Known(
        "a slot of a limit leaked by a crash",
        slot_leaked_by_a_crash,
        1,
        _LIMITED | {"lock_keys": 1, "lock_slots": 1},
    ),
    Known("a rate counted at admission", rate_counted_at_admission, 7, _RATED),
    Known("a rate's row written without a look", a_row_written_without_a_look, 2, _RATED),
    Known("a slot leaked by a crash", slot_leaked_by_a_crash, 0, _SLOTS_IN_BAD_WEATHER),
    Known("a slot released twice", slot_released_twice, 149, _SLOTS_IN_BAD_WEATHER),
    Known(
        "a limit exceeded after a takeover",
        limit_exceeded_after_a_takeover,
        1,
        _SLOTS_IN_BAD_WEATHER,
    ),
)
"""Faults of other systems' limits."""

_CROWDED = _KILLER | {"crowded": True, "workers": 1}
OF_SUSPECTS = (
    Known("a suspect waits without a bound", waits_without_a_bound, 0, _CROWDED),
    Known("a suspect waits again at once", waits_again_at_once, 0, _CROWDED),
    Known("a suspect never waits longer than at first", never_waits_longer, 1, _CROWDED),
)
_ONCE = {
    "once": 1.0,
    "fault_rate": 0.1,
    "stall_rate": 0.02,
    "operator_action_seconds": 15,
    "lock_keys": 1,
}
OF_LOSSES = (
    Known("a lone takeover", a_lone_takeover, 4, _ONCE),
    Known("a claim without the job's limit of lost workers", a_claim_without_the_limit, 4, _ONCE),
)
"""Jobs that run twice though they must not."""
_PAUSING = {"pauses": True, "clock_steps": False, "retention_seconds": None}
_STALLED = _PAUSING | {"stall_rate": 0.03, "fault_rate": 0.1, "operator_action_seconds": 15}
OF_PAUSES = (
    Known("a resume lost with its command", the_resume_publishes, 3, _PAUSING),
    Known("a restart resumes a pause", a_restart_resumes, 23, _PAUSING),
    Known("a claim heeds no pause", a_claim_heeds_no_pause, 2, _PAUSING),
    Known("an old look at the pauses counts for ever", an_old_look_counts_for_ever, 676, _STALLED),
)
"""Faults of pauses elsewhere."""

OF_READING = (
    Known("a step named as the lifecycle event before", a_step_named_as_lifecycle_event, 0),
)
"""Rows that would lead readers astray."""

_WORKER_SCOPE = {"worker_scope": 1.0, "fleet_scope": False, "lacking": 0, "rate": None}
_LOSSES = _WORKER_SCOPE | {"fault_rate": 0.1, "stall_rate": 0.03, "operator_action_seconds": 15}

OF_SCOPE_WORKER = (
    Known("a lost lease taken again under its old name", lost_lease_taken_again, 15, _LOSSES),
    Known(
        "a job given up under a live worker's lock",
        given_up_in_silence,
        5,
        _WORKER_SCOPE | {"own_errors": 0.2},
    ),
    Known(
        "a worker's trust not checked between read and insert",
        trust_not_checked_before_the_insert,
        12,
        _LOSSES,
    ),
    Known(
        "a job that runs on the worker's own lock taken for lost",
        running_on_the_own_lock_means_lost,
        3,
        _WORKER_SCOPE,
    ),
)
"""Faults of one lock for many jobs."""
