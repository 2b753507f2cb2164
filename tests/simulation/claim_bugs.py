"""Deliberate bugs in claims: by a worker that lacks the type, and of suspects."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any
from unittest.mock import patch

from devtools.evidence.bug_class import BugClass
from jobfleet_contracts.message import JobMessage
from jobfleet_protocol.claiming.claimer import Claimer
from jobfleet_worker.run import slots
from jobfleet_worker.run.handler_gate import HandlerGate
from jobfleet_worker.run.slots import Slots
from jobfleet_worker.run.under_way import UnderWay
from tests.simulation.emphases import KILLER
from tests.simulation.known import Known


@contextmanager
def missing_handler_fails_at_once() -> Iterator[None]:
    """A worker that lacks a job's type asks nobody whether another one has it."""

    async def nobody(self: HandlerGate, job_type: str, queue: str) -> bool:
        return True

    async def never(self: HandlerGate, message: JobMessage) -> bool:
        return False

    with patch.multiple(HandlerGate, puts_off=never, is_given_up=nobody):
        yield


def suspects_beside_others() -> AbstractContextManager[Any]:
    """A suspect starts beside other jobs, which may be to blame."""
    claim = Claimer.claim

    async def claim_at_once(self: Claimer, message: JobMessage, **how: Any) -> Any:
        return await claim(self, message, **how | {"is_alone": True})

    return patch.object(Claimer, "claim", claim_at_once)


def waits_without_a_bound() -> AbstractContextManager[Any]:
    """A suspect keeps all slots for as long as a job beside it runs."""

    async def without_a_bound(self: Slots) -> None:
        while self.taken > 1 and not self._left_behind and not self._is_closed:
            self._changed.clear()
            await self._changed.wait()

    return patch.object(Slots, "_until_others_ended", without_a_bound)


def waits_again_at_once() -> AbstractContextManager[Any]:
    """A wait that was too short is begun again before other jobs have had the slots."""
    return patch.object(slots, "REST", 0)


def never_waits_longer() -> AbstractContextManager[Any]:
    """Each wait is as short as the first one: jobs that take longer starve the suspect."""
    alone = Slots.alone

    @asynccontextmanager
    async def as_the_first(self: Slots) -> AsyncIterator[bool]:
        self._longest_wait = self._shortest_wait
        async with alone(self) as is_alone:
            yield is_alone

    return patch.object(Slots, "alone", as_the_first)


def copies_live_on() -> AbstractContextManager[Any]:
    """A message is put off again though another one of its job is in a delay queue."""
    return patch.object(UnderWay, "covers", return_value=False)


_CROWDED = KILLER | {"crowded": True, "workers": 1}
OF_SUSPECTS = (
    Known(
        "a suspect waits without a bound",
        waits_without_a_bound,
        0,
        _CROWDED,
        breaks=BugClass.LOST_WORKERS,
        shows="kept its slots for a suspect",
    ),
    Known(
        "a suspect waits again at once",
        waits_again_at_once,
        0,
        _CROWDED,
        breaks=BugClass.LOST_WORKERS,
        shows="reserved its slots again",
    ),
    Known(
        "a suspect never waits longer than at first",
        never_waits_longer,
        1,
        _CROWDED,
        breaks=BugClass.LOST_WORKERS,
        shows="starved beside a crowd",
    ),
)
"""Ways to keep slots empty, or a suspect from its turn."""
