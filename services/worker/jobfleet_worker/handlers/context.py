"""What a handler knows of its job, and how it tells of its progress."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol
from uuid import UUID, uuid5

from jobfleet_contracts.codec import decode
from jobfleet_contracts.encoded_value import MARK, labelled_value
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.json_check import check_json
from jobfleet_protocol.actions.successors import MOST_RESULT_BYTES
from jobfleet_protocol.trail.transitions import cut_message
from jobfleet_worker.handlers.outcome_turns import outcome_turn
from jobfleet_worker.handlers.result_json import is_plain, to_json
from jobfleet_worker.handlers.user_thread import in_user_thread
from jobfleet_worker.tracing import traceparent

LARGEST_COUNT = 2**53 - 1
"""The largest whole number that all JSON readers hold exactly."""


class ProgressSink(Protocol):
    """Where progress and checkpoints of an attempt go."""

    async def progress(self, step: int, of: int | None, message: str) -> None:
        """Note a step; on the worker's loop."""
        ...

    async def checkpoint(self, value: Any) -> None:
        """Keep a value for the next attempt; durable on return. On the worker's loop."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFacts:
    """What never changes during one attempt.

    Attributes:
        job: the request as it was submitted.
        attempt: number of this attempt, from 1.
        epoch: fencing token; pass it on to systems that can refuse an older one.
        incarnation: 1, and one more with each redrive.
        last_checkpoint: what an earlier attempt kept last, ``None`` if nothing.
        limit_seconds: time limit of this attempt, or of a third-party job's wait.
        is_last: whether the job has no attempt after this one.
        resuming: a waiting job whose request did not verifiably reach the third party.
    """

    job: JobRequest
    attempt: int
    epoch: int
    incarnation: int
    last_checkpoint: Any = None
    resuming: bool = False
    limit_seconds: float = 1800
    is_last: bool = False

    @property
    def idempotency_key(self) -> str:
        """The same for all attempts of an incarnation; pass it on to others."""
        return str(uuid5(UUID(self.job.job_id), f"incarnation/{self.incarnation}"))


class ContextFacts:
    """What both kinds of context tell a handler."""

    def __init__(self, *, facts: AttemptFacts) -> None:
        self._facts = facts
        self._cancelled = False
        self._has_noticed = False

    @property
    def job(self) -> JobRequest:
        """The request as it was submitted."""
        return self._facts.job

    @property
    def attempt(self) -> int:
        """Number of this attempt, from 1."""
        return self._facts.attempt

    @property
    def epoch(self) -> int:
        """Fencing token: rises with each claim; pass it to systems that can refuse older ones."""
        return self._facts.epoch

    @property
    def facts(self) -> AttemptFacts:
        """All that stays the same during the attempt."""
        return self._facts

    @property
    def idempotency_key(self) -> str:
        """The same for all attempts of an incarnation; pass it on with side effects."""
        return self._facts.idempotency_key

    @property
    def limit_seconds(self) -> float:
        """Time limit of this attempt."""
        return self._facts.limit_seconds

    @property
    def last_checkpoint(self) -> Any:
        """What an earlier attempt kept last with ``checkpoint``; ``None`` if nothing."""
        return self._facts.last_checkpoint

    @property
    def request(self) -> Mapping[str, Any]:
        """Headers, route and query parameters of the HTTP request that made the job."""
        return self._facts.job.context or {}

    @property
    def traceparent(self) -> str:
        """W3C trace context to send along with calls to others."""
        return traceparent(self._facts.job)

    @property
    def cancelled(self) -> bool:
        """Whether the attempt is to stop: cancelled, out of time, shutdown, or its lease is lost.

        A handler that has seen this returns or raises as it likes; what it returns is not a result.
        """
        self._has_noticed = self._has_noticed or self._cancelled
        return self._cancelled

    @property
    def is_stopped(self) -> bool:
        """Whether the attempt is to stop, asked by the worker's own code."""
        return self._cancelled

    @property
    def has_noticed(self) -> bool:
        """Whether the handler has seen that it is to stop."""
        return self._has_noticed

    def cancel(self) -> None:
        """Mark the attempt as to be stopped; called by the worker."""
        self._cancelled = True


class JobContext(ContextFacts):
    """Given to coroutine handlers; threads of theirs with loops of their own may use it too."""

    def __init__(self, *, facts: AttemptFacts, sink: ProgressSink) -> None:
        super().__init__(facts=facts)
        self._sink = sink
        self._loop = asyncio.get_running_loop()

    async def progress(self, step: int, of: int | None = None, message: str = "") -> None:
        """Tell how far the job is. Written at once, then at most once a second.

        Raises:
            TypeError: ``step`` or ``of`` is not a whole number.
            ValueError: one of them is below 0, or beyond 2^53 - 1.
        """
        await self._on_own_loop(self._sink.progress(*_step(step, of, message)))

    async def checkpoint(self, value: Any) -> None:
        """Keep a JSON value that the next attempt finds in ``last_checkpoint``.

        Raises:
            InvalidRequest: JSON cannot hold it, or it has more than 16 MiB or a million values.
        """
        if is_plain(value):
            copy = _json_copy(value)
        else:  # in a thread: a large value would hold up every other job of this loop
            copy = await in_user_thread(_json_copy_in_turn, value, name="checkpoint")
        await self._on_own_loop(self._sink.checkpoint(copy))

    async def _on_own_loop(self, call: Coroutine[Any, Any, None]) -> None:
        if asyncio.get_running_loop() is self._loop:
            await call
        else:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call, self._loop))


class BlockingJobContext(ContextFacts):
    """Given to plain functions: the same, with calls that return when they are done.

    Several threads may use it at once.
    """

    def __init__(
        self, *, facts: AttemptFacts, sink: ProgressSink, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(facts=facts)
        self._sink = sink
        self._loop = loop

    def progress(self, step: int, of: int | None = None, message: str = "") -> None:
        """Tell how far the job is; errors as with :meth:`JobContext.progress`."""
        self._tell("progress", *_step(step, of, message))

    def checkpoint(self, value: Any) -> None:
        """Keep a value for the next attempt; errors as with :meth:`JobContext.checkpoint`."""
        self._tell("checkpoint", _json_copy_in_turn(value))

    def _tell(self, kind: Literal["progress", "checkpoint"], *values: Any) -> None:
        call = getattr(self._sink, kind)(*values)
        asyncio.run_coroutine_threadsafe(call, self._loop).result()


def _step(step: int, of: int | None, message: Any) -> tuple[int, int | None, str]:
    """Check a step where the handler runs: values and texts of users may run code of theirs."""
    total = None if of is None else _count("of", of)
    # Cut here: a longer text would cross to the worker, which keeps its beginning only.
    return _count("step", step), total, cut_message(f"{message}")


def _count(name: str, value: int) -> int:
    try:
        count = operator.index(value)
    except TypeError:
        kind = type(value).__name__
        raise TypeError(f"progress: {name} must be a whole number, not {kind}") from None
    if not 0 <= count <= LARGEST_COUNT:
        raise ValueError(f"progress: {name} must be a count from 0 to 2^53 - 1")
    return count


def _json_copy_in_turn(value: Any) -> Any:
    if is_plain(value):
        return _json_copy(value)
    with outcome_turn():
        return _json_copy(value)


def _json_copy(value: Any) -> Any:
    """Return plain JSON values: classes of users stay where the handler runs."""
    try:
        to_json(value)  # stops at the limits, which an encoder would not
    except TypeError as error:
        raise InvalidRequest(f"checkpoint: {error}", field="checkpoint") from None
    body = check_json(value, field="checkpoint", limit=MOST_RESULT_BYTES)
    return labelled_value(decode(body)) if MARK.encode() in body else decode(body)
