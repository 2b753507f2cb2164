"""Runs a handler in a unit test: no worker, no backend; the same validation and judgement.

::

    async def test_letters_go_to_everybody() -> None:
        run = await run_handler(send_letters, {"to": ["ada", "alan"]})
        assert run.result == {"sent": 2}
        assert run.checkpoints == [1, 2]
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jobfleet_contracts.codec import decode, encode
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.json_check import check_json
from jobfleet_contracts.outcome import (
    AttemptFailed,
    AttemptTimedOut,
    Completed,
    Deferred,
    JobError,
    Outcome,
)
from jobfleet_contracts.own_thread import in_own_thread
from jobfleet_publisher.plain_payload import plain_payload
from jobfleet_worker.handlers.context import AttemptFacts
from jobfleet_worker.handlers.described_error import error_of
from jobfleet_worker.handlers.hook_marks import hook_mark_of, provide, provided_type
from jobfleet_worker.handlers.hooks import Hooks
from jobfleet_worker.handlers.open_hooks import OpenHooks, started
from jobfleet_worker.handlers.outcomes import run_of
from jobfleet_worker.handlers.registry import Handler, handlers_of, undeclared
from jobfleet_worker.handlers.runners import runner_for
from jobfleet_worker.processes.pool import process_pool
from jobfleet_worker.run.attempt import Attempt, Stop

TEST_TYPE = "test"
GRACE_SECONDS = 5.0
DEFAULT_ATTEMPTS = 3
"""As JOBFLEET_MAX_ATTEMPTS without a setting."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call of ``context.progress``; none is left out, as a worker may."""

    step: int
    of: int | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerRun:
    """What one attempt did.

    Attributes:
        outcome: how it ended, as the worker would record it.
        steps, checkpoints: in the order in which the handler reported them.
        attempts_left: whether the job has attempts after this one.
    """

    outcome: Outcome
    attempts_left: bool = True
    steps: list[Step] = field(default_factory=list)
    checkpoints: list[Any] = field(default_factory=list)

    @property
    def completed(self) -> bool:
        """Whether the handler returned."""
        return isinstance(self.outcome, Completed)

    @property
    def result(self) -> Any:
        """What the handler returned, as the JSON that the trail would hold.

        Raises:
            AssertionError: it did not return; shows what it raised.
        """
        if isinstance(self.outcome, Completed):
            return self.outcome.result
        message = f"\n{self.error.traceback}" if self.error is not None else ""
        raise AssertionError(f"the handler did not complete: {self.outcome}{message}")

    @property
    def error(self) -> JobError | None:
        """What it raised or why it was stopped; ``None`` if it returned or deferred."""
        match self.outcome:
            case AttemptFailed(error):
                return error
            case AttemptTimedOut(limit):
                return JobError("TimedOut", f"over its time limit of {limit:g} s")
            case _:
                return None

    @property
    def will_retry(self) -> bool:
        """Whether another attempt would follow; never after the last one."""
        return self.attempts_left and self._is_worth_a_retry

    @property
    def _is_worth_a_retry(self) -> bool:
        return isinstance(self.outcome, AttemptTimedOut) or (
            isinstance(self.outcome, AttemptFailed) and not self.outcome.final
        )

    @property
    def was_deferred(self) -> bool:
        """Whether it asked to be called later."""
        return isinstance(self.outcome, Deferred)


async def run_handler(
    function: Callable[..., Any],
    payload: Any = None,
    *,
    attempt: int = 1,
    epoch: int | None = None,
    last_checkpoint: Any = None,
    request: Mapping[str, Any] | None = None,
    cancel_at_step: int | None = None,
    timeout: float = 30,
    provided: Mapping[Any, Any] | None = None,
    hooks: Sequence[Callable[..., Any]] = (),
    **fields: Any,
) -> HandlerRun:
    """Run one attempt of a handler: a coroutine function, a plain one, or one in a process.

    Args:
        payload: what a publisher takes: JSON, a dataclass, a pydantic model. It is made JSON and
            validated against the handler's annotation, as in a worker.
        attempt: number of this attempt, from 1.
        epoch: the fencing token; the attempt's number if none is given.
        last_checkpoint: what an earlier attempt is to have kept.
        request: ``context.request``: headers, route and query parameters.
        cancel_at_step: cancel the job once the handler has reported this step.
        timeout: seconds; the attempt's time limit.
        provided: values in the place of those that ``@provide`` makes, by type.
        hooks: marked functions that run as in a worker, beside those of the handler's module.
        fields: other fields of the job, as ``lock_key="customer-7"``; ``max_attempts``, the
            handler's or 3 where neither says, decides whether ``will_retry`` can be true.

    Raises:
        InvalidRequest: a field of the job, or the payload, cannot be submitted so.
    """
    chosen = _hooks_for(function, provided or {}, hooks)
    known = next(iter(handlers_of(function, hooks=chosen)), None)
    declared = known or undeclared(TEST_TYPE, function, hooks=chosen)
    facts = _facts(declared, payload, attempt, epoch, last_checkpoint, request, fields, timeout)
    opened = await started(OpenHooks(chosen, declared.plan.arguments.values()))
    try:
        return await _Run(declared, facts, timeout, cancel_at_step, opened).to_the_end()
    finally:
        await opened.stop()


def run_handler_sync(
    function: Callable[..., Any], payload: Any = None, **options: Any
) -> HandlerRun:
    """Like :func:`run_handler`, for tests without an event loop."""
    return asyncio.run(run_handler(function, payload, **options))


class _Run:
    """One attempt whose progress goes into lists."""

    def __init__(
        self,
        handler: Handler,
        facts: AttemptFacts,
        timeout: float,
        cancel_at_step: int | None,
        hooks: OpenHooks,
    ) -> None:
        self._hooks = hooks
        self._handler = handler
        self._facts = facts
        self._timeout = timeout
        self._cancel_at_step = cancel_at_step
        self._attempt: Attempt | None = None
        self._steps: list[Step] = []
        self._checkpoints: list[Any] = []

    async def to_the_end(self) -> HandlerRun:
        outcome = await self._outcome()
        return HandlerRun(
            outcome=outcome,
            attempts_left=not self._facts.is_last,
            steps=self._steps,
            checkpoints=self._checkpoints,
        )

    async def progress(self, step: int, of: int | None, message: str) -> None:
        self._steps.append(Step(step, of, message))
        if step == self._cancel_at_step and self._attempt is not None:
            self._attempt.stop(Stop.CANCEL)

    async def checkpoint(self, value: Any) -> None:
        self._checkpoints.append(value)

    async def _outcome(self) -> Outcome:
        self._attempt = Attempt(limit_seconds=self._timeout, grace_seconds=GRACE_SECONDS)
        needs_process = self._handler.run_in == "process"
        modules = [self._handler.module] if needs_process else []
        pool = process_pool(modules, hook_modules=self._hooks.modules, size=1)
        payload = self._facts.job.payload
        runner = runner_for(self._handler, payload, self._facts, self, self._hooks, processes=pool)
        try:
            outcome = await self._attempt.run(runner)
        finally:
            if needs_process:
                await in_own_thread(pool.close, name="close-processes")
        if (error := error_of(outcome)) is not None:
            run = run_of(self._facts)
            run.outcome = "failed"
            run.final = run.is_last or (isinstance(outcome, AttemptFailed) and outcome.final)
            await self._hooks.report(error, run)
        return outcome


def _facts(
    handler: Handler,
    payload: Any,
    attempt: int,
    epoch: int | None,
    last_checkpoint: Any,
    request: Mapping[str, Any] | None,
    fields: dict[str, Any],
    timeout: float,
) -> AttemptFacts:
    context = dict(request) if request is not None else None
    made = JobRequest(
        type=handler.job_type, payload=_as_json(payload, "payload"), context=context, **fields
    )
    job = JobRequest.parse(made.to_json())
    most = job.max_attempts or handler.max_attempts or DEFAULT_ATTEMPTS
    return AttemptFacts(
        job=job,
        attempt=attempt,
        epoch=epoch or attempt,
        incarnation=1,
        last_checkpoint=_as_json(last_checkpoint, "last_checkpoint"),
        limit_seconds=timeout,
        is_last=attempt >= most,
    )


def _hooks_for(
    function: Callable[..., Any], provided: Mapping[Any, Any], hooks: Sequence[Callable[..., Any]]
) -> Hooks:
    """Return the hooks of the handler's module and the test's, with the test's values."""
    module = sys.modules.get(function.__module__)
    own = [] if module is None else list(vars(module).values())
    kept = [
        each
        for each in (*own, *hooks)
        if (mark := hook_mark_of(each)) is not None
        and not (mark.kind == "provide" and provided_type(each) in provided)
    ]
    return Hooks([*kept, *(_provider_of(made, value) for made, value in provided.items())])


def _provider_of(made: Any, value: Any) -> Callable[[], Any]:
    def given() -> Any:
        return value

    given.__annotations__["return"] = made
    return provide(given)


def _as_json(value: Any, field: str) -> Any:
    """Return the value as it comes back from the trail: tuples are lists, keys are strings."""
    plain = plain_payload(value, field=field)
    check_json(plain, field=field)
    return decode(encode(plain))
