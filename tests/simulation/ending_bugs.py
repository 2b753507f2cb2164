"""Deliberate bugs at the end of a job: its open row, its callback, its result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from jobfleet_contracts.event import Event
from jobfleet_contracts.outcome import Outcome
from jobfleet_contracts.state import Status
from jobfleet_protocol.actions.callbacks import Callbacks
from jobfleet_protocol.trail.held_trail import DecideChanges, HeldTrail
from jobfleet_protocol.trail.transitions import Change
from jobfleet_worker.run.follow_up import FollowUp
from jobfleet_worker.run.outcome_record import OutcomeRecord


def open_row_removed_first() -> AbstractContextManager[Any]:
    """The open row goes before the terminal event; a crash between the two hides the job."""
    write = HeldTrail.write

    async def hasty(self: HeldTrail, decide: DecideChanges, *, last: bool = False) -> Event:
        if last and decide(self.head)[-1].kind in (
            Status.COMPLETED,
            Status.FAILED,
            Status.CANCELLED,
        ):
            await self._writer._index.close(self.head.job_id, self.head.after.incarnation)
        return await write(self, decide, last=last)

    return patch.object(HeldTrail, "write", hasty)


@contextmanager
def callback_left_behind() -> Iterator[None]:
    """The open row goes though the callback job could not be submitted."""
    quietly = FollowUp._quietly

    async def pleased(self: FollowUp, step: Any) -> bool:
        await quietly(self, step)
        return True

    with patch.object(FollowUp, "_quietly", pleased):
        yield


def sent_and_denied() -> AbstractContextManager[Any]:
    """What a sender writes at its end does not look at whether the request is known as sent."""
    changes = OutcomeRecord.changes

    def deny(self: OutcomeRecord, outcome: Outcome, head: Event, **how: int) -> Sequence[Change]:
        return changes(self, outcome, replace(head, after=replace(head.after, sent=False)), **how)

    return patch.object(OutcomeRecord, "changes", deny)


def token_not_checked() -> AbstractContextManager[Any]:
    """A signed result is taken at whatever address it is posted to."""

    def any_address(self: Callbacks, job_id: str, incarnation: int, token: str | None) -> None:
        return

    return patch.object(Callbacks, "check_address", any_address)
