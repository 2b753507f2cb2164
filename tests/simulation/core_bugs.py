"""Deliberate bugs of workers that are broken for good beside a healthy one."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from devtools.evidence.bug_class import BugClass
from jobfleet_contracts.event import Event
from jobfleet_contracts.message import JobMessage, MalformedMessage
from jobfleet_contracts.ports import Delivery
from jobfleet_protocol.retry import retry_for, retry_forever
from jobfleet_worker.run.consumer import Consumer
from jobfleet_worker.run.storage_patience import StoragePatience, log_delays
from jobfleet_worker.upkeep.rescuer import Rescuer
from tests.simulation.emphases import PLAIN
from tests.simulation.known import Known


def leader_that_reaches_no_broker_stays() -> AbstractContextManager[Any]:
    """A leader whose messages are never confirmed goes on leading."""

    async def confirmed(self: Rescuer, message: JobMessage, head: Event) -> bool:
        return await self._publication.try_to_send(message, head)

    return patch.object(Rescuer, "_confirmed", confirmed)


def messages_kept_without_storage() -> AbstractContextManager[Any]:
    """A worker that cannot reach the storage keeps its messages until it can."""

    async def for_ever(_self: StoragePatience, message: JobMessage, operation: Any) -> Any:
        return await retry_forever(operation, log_delays(message))

    return patch.object(StoragePatience, "repeat", for_ever)


def message_kept_for_an_unanswered_append() -> AbstractContextManager[Any]:
    """A worker waits for the answer to its append without a limit, and keeps the message."""

    async def until_answered(self: StoragePatience, message: JobMessage, operation: Any) -> Any:
        return await retry_for(self.seconds, operation, log_delays(message))

    return patch.object(StoragePatience, "repeat", until_answered)


def malformed_message_kept_without_storage() -> AbstractContextManager[Any]:
    """A worker that cannot reach the storage keeps a malformed message until it can."""

    async def for_ever(self: Consumer, delivery: Delivery, message: MalformedMessage) -> None:
        await retry_forever(lambda: self._unclaimed.set_aside(message))
        await self._acknowledge(delivery)

    return patch.object(Consumer, "_set_aside", for_ever)


def message_kept_until_its_open_row_is_written() -> AbstractContextManager[Any]:
    """A worker acknowledges a claimed job's message once its row is written, however late."""

    async def for_ever(self: Consumer, delivery: Delivery, _claim: Event) -> None:
        await retry_forever(self._index.flush)
        await self._acknowledge(delivery)

    return patch.object(Consumer, "_settle", for_ever)


_CORE = PLAIN | {"core_only": True, "old_workers": 0, "moved": False, "workers": 2}
_WAITS = "^not at rest"
OF_A_CORE = (
    Known(
        "a leader that reaches no broker goes on leading",
        leader_that_reaches_no_broker_stays,
        45,
        _CORE,
        breaks=BugClass.EVERY_JOB_ENDS,
        shows=_WAITS,
    ),
    Known(
        "a worker without storage keeps its messages",
        messages_kept_without_storage,
        2,
        _CORE,
        breaks=BugClass.EVERY_JOB_ENDS,
        shows=_WAITS,
    ),
    Known(
        "a message kept until an append is answered",
        message_kept_for_an_unanswered_append,
        126,
        _CORE,
        breaks=BugClass.EVERY_JOB_ENDS,
        shows=_WAITS,
    ),
    Known(
        "a worker without storage keeps a malformed message",
        malformed_message_kept_without_storage,
        10,
        _CORE,
        breaks=BugClass.EVERY_JOB_ENDS,
        shows=_WAITS,
    ),
    Known(
        "a claimed job's message kept until its open row is written",
        message_kept_until_its_open_row_is_written,
        402,
        _CORE,
        breaks=BugClass.EVERY_JOB_ENDS,
        shows=_WAITS,
    ),
)
