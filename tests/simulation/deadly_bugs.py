"""Deliberate bugs around messages that end the workers which take them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from devtools.evidence.bug_class import BugClass
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.state import State
from jobfleet_protocol.claiming import unstartable
from jobfleet_protocol.claiming.unstartable import UnstartableJobs
from jobfleet_worker.run.handed_messages import _Handed
from jobfleet_worker.run.message_claims import MessageClaims
from tests.simulation.emphases import PLAIN
from tests.simulation.known import Known


def the_count_is_not_asked_for() -> AbstractContextManager[Any]:
    """A worker looks at no message's count, as if a message that comes back were a new one."""
    end = MessageClaims.end_unstartable

    async def of_a_new_one(self: MessageClaims, message: JobMessage, _lost: int) -> Any:
        return await end(self, message, 0)

    return patch.object(MessageClaims, "end_unstartable", of_a_new_one)


def ended_too_soon() -> AbstractContextManager[Any]:
    """A few lost workers, which anything may have ended, are enough to end a job."""
    return patch.object(unstartable, "LOST_BEFORE_CLAIM", 2)


def ended_under_a_claim() -> AbstractContextManager[Any]:
    """The ending is written though another copy of the message has begun the job meanwhile."""
    is_open = {state for state in State if not state.is_terminal}
    return patch.object(unstartable, "CLAIMABLE", frozenset(is_open))


def no_count_without_a_queue() -> AbstractContextManager[Any]:
    """Only queues count: a message that a worker hands to itself is a new one each time."""

    def of_a_new_one(_self: _Handed, _note: Mapping[str, str]) -> int:
        return 0

    return patch.object(_Handed, "lost_by", of_a_new_one)


def a_count_outlives_a_redrive() -> AbstractContextManager[Any]:
    """A copy of an earlier incarnation counts its losses against the one that a redrive began."""
    end = UnstartableJobs.end

    async def of_any(self: UnstartableJobs, message: JobMessage, lost: int) -> Any:
        return await end(self, replace(message, incarnation=1_000), lost)

    return patch.object(UnstartableJobs, "end", of_any)


_DEADLY = PLAIN | {"deadly": 1, "counts_losses": True, "core_only": False}
_COPIES = _DEADLY | {"deadly": 3, "concurrency": 4, "jobs": 2, "workers": 4, "fault_rate": 0.1}
_IN_PAUSE = _DEADLY | {"pauses": True, "deadly_in_pause": True, "fault_seconds": 900.0}
OF_DEADLY_MESSAGES = (
    Known(
        "the workers that a message costs which no queue holds are not counted",
        no_count_without_a_queue,
        9,
        _IN_PAUSE,
        breaks=BugClass.LOST_WORKERS,
        shows="ran though its message had cost",
    ),
    Known(
        "losses of an earlier incarnation end a redriven job",
        a_count_outlives_a_redrive,
        0,
        _COPIES | {"deadly": 1, "eager_redrives": True},
        breaks=BugClass.LOST_WORKERS,
        shows="ended before its message cost ten",
    ),
    Known(
        "the count of a message's lost workers is not asked for",
        the_count_is_not_asked_for,
        0,
        _DEADLY,
        breaks=BugClass.LOST_WORKERS,
        shows="ran though its message had cost",
    ),
    Known(
        "a job ended for two lost workers",
        ended_too_soon,
        1,
        _DEADLY,
        breaks=BugClass.LOST_WORKERS,
        shows="ended before its message cost ten",
    ),
    Known(
        "a job ended for its message under another worker's claim",
        ended_under_a_claim,
        89,
        _COPIES,
        breaks=BugClass.LOST_WORKERS,
        shows="^rule 6",
    ),
)
"""Messages whose taking ends their worker before any claim."""
