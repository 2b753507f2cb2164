"""Deliberate bugs in how a job comes to its queue, and in transactions that do several steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import Any
from unittest.mock import patch

from devtools.evidence.bug_class import BugClass
from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_contracts.transaction import Opening
from jobfleet_protocol.actions import redrive, submission
from jobfleet_protocol.claiming import trail_opening
from tests.simulation.emphases import ONE_DATABASE, SLEEP
from tests.simulation.fake_claims import FakeJobClaims
from tests.simulation.fake_openings import FakeJobOpenings
from tests.simulation.known import FOR_EVER, NOT_LEASED, Known


@contextmanager
def slept_between_row_and_event() -> Iterator[None]:
    """A submitter publishes and answers as if its open row stood, however long it slept."""

    async def believe(*_: Any, **__: Any) -> None:
        return

    with ExitStack() as stack:
        for module in (submission, redrive, trail_opening):
            stack.enter_context(patch.object(module, "reopen_if_slow", believe))
        yield


@contextmanager
def unanswered_transaction_taken_for_done() -> Iterator[None]:
    """A submitter accepts a job though the transaction that makes it was not answered."""
    write = FakeJobOpenings.write

    async def hope(self: FakeJobOpenings, opening: Opening) -> None:
        with suppress(BackendUnavailable):
            await write(self, opening)

    with patch.object(FakeJobOpenings, "write", hope):
        yield


@contextmanager
def transaction_without_the_open_row() -> Iterator[None]:
    """A transaction writes event 1 and message; a message that is lost is missed by nobody."""

    def leave_out(self: FakeJobOpenings, opening: Opening) -> None:
        if opening.message is not None and opening.delay_seconds <= 0:
            self._broker.publish(opening.message)

    with patch.object(FakeJobOpenings, "write_beside", leave_out):
        yield


def claim_without_its_lease() -> AbstractContextManager[Any]:
    """A claim's transaction writes ``Started`` and leaves the lock as it is."""
    return patch.object(FakeJobClaims, "lease")


OF_SUBMITS = (
    Known(
        "a submitter that slept between open row and event 1",
        slept_between_row_and_event,
        14,
        SLEEP,
        breaks=BugClass.EVERY_JOB_ENDS,
        shows=FOR_EVER,
    ),
    Known(
        "a submit accepted though its transaction was not answered",
        unanswered_transaction_taken_for_done,
        2,
        ONE_DATABASE,
        breaks=BugClass.EVERY_JOB_ENDS,
        shows="was accepted and is not in the trail",
    ),
    Known(
        "a submit's transaction without the open row",
        transaction_without_the_open_row,
        0,
        ONE_DATABASE,
        breaks=BugClass.EVERY_JOB_ENDS,
        shows=FOR_EVER,
    ),
    Known(
        "a claim's transaction without its lease",
        claim_without_its_lease,
        0,
        ONE_DATABASE | {"worker_scope": 0.0, "fleet_scope": False},
        breaks=BugClass.ONE_OUTCOME,
        shows=NOT_LEASED,
    ),
)
