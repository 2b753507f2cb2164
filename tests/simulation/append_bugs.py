"""Deliberate bugs in how an event is appended to a trail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any
from unittest.mock import patch

from jobfleet_backends.azure.table_limits import LIMITS
from jobfleet_contracts.errors import BackendError, SequenceTaken
from jobfleet_contracts.event import Event
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.ports import PayloadStore
from jobfleet_contracts.state import TERMINAL, State, Status
from jobfleet_protocol.claiming import decision, trail_claim
from jobfleet_protocol.claiming.decision import LockView
from jobfleet_protocol.retry import retry_forever
from jobfleet_protocol.trail import chain, transitions
from jobfleet_protocol.trail.held_trail import HeldTrail
from jobfleet_protocol.trail.large_data import externalise
from jobfleet_protocol.trail.trail_writer import Insert, TrailWriter


def no_epoch_check() -> AbstractContextManager[Any]:
    """A holder takes every event beside its own for a cancel request, and goes on."""

    def holds(self: HeldTrail, newest: Event) -> bool:
        return newest.after.state in (State.RUNNING, State.WAITING)

    return patch.object(HeldTrail, "holds", holds)


def refusal_means_not_written() -> AbstractContextManager[Any]:
    """A refusal is taken for somebody else's event, though it may be one's own."""

    async def until_answered(
        self: TrailWriter, events: Sequence[Event], insert: Insert | None = None
    ) -> Event | None:
        events = await _stored(events, self._payloads)
        while True:
            try:
                await (insert or self._trail.insert)(events)
            except SequenceTaken:
                return await self._look(events[0])
            except BackendError:
                continue
            self._copy(events)
            return None

    return patch.object(TrailWriter, "_until_answered", until_answered)


def refusal_means_written() -> AbstractContextManager[Any]:
    """A refusal is taken for an earlier try of one's own."""

    async def until_answered(
        self: TrailWriter, events: Sequence[Event], insert: Insert | None = None
    ) -> Event | None:
        events = await _stored(events, self._payloads)
        while True:
            try:
                await (insert or self._trail.insert)(events)
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

    async def until_answered(
        self: TrailWriter, events: Sequence[Event], insert: Insert | None = None
    ) -> Event | None:
        events = await _stored(events, self._payloads)
        while True:
            events = [replace(event, event_id=new_id()) for event in events]
            try:
                await (insert or self._trail.insert)(events)
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


@contextmanager
def terminal_not_absorbing() -> Iterator[None]:
    """A job that ended can be claimed again."""
    may_start: Mapping[Status, frozenset[State]] = {
        **transitions._FROM,
        Status.STARTED: transitions._FROM[Status.STARTED] | TERMINAL,
    }
    judge = decision.decide

    def claim_all(head: Event, message: JobMessage, view: LockView, now: datetime) -> Any:
        if head.after.state is State.COMPLETED and view.is_held:
            return decision._about_a_claimable_job(head, view, now)
        return judge(head, message, view, now)

    def drafted(*given: Any, **named: Any) -> Event:
        with patch.object(transitions, "_FROM", may_start):  # the judgement goes by the right one
            return transitions.draft(*given, **named)

    with ExitStack() as stack:
        stack.enter_context(patch.object(trail_claim, "draft", drafted))
        stack.enter_context(patch.object(trail_claim, "decide", claim_all))
        yield


async def _stored(events: Sequence[Event], payloads: PayloadStore) -> Sequence[Event]:
    async def store() -> Sequence[Event]:
        return [
            await externalise(event, payloads, inline_bytes=LIMITS.inline_bytes) for event in events
        ]

    return await retry_forever(store)
