"""How a handler's return or raise ends its attempt.

Results and errors run users' code when they are made JSON or text. So a runner calls these
functions where its handler ran, within the time limit: never on the worker's loop afterwards.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, CancelledError
from collections.abc import Callable
from dataclasses import replace
from types import WrapperDescriptorType
from typing import Any

from jobfleet_contracts.outcome import AttemptFailed, Completed, Deferred, JobError, Waiting
from jobfleet_worker.handlers.context import AttemptFacts, ContextFacts
from jobfleet_worker.handlers.declaration import RetryOn
from jobfleet_worker.handlers.described_error import (
    describe_error,
    details_of,
    leaves_of,
    named,
    text_of,
)
from jobfleet_worker.handlers.error_text import type_of
from jobfleet_worker.handlers.hooks import Run
from jobfleet_worker.handlers.open_hooks import Judge, OpenHooks
from jobfleet_worker.handlers.outcome_turns import outcome_turn
from jobfleet_worker.handlers.registry import Handler
from jobfleet_worker.handlers.result_json import is_plain, result_json
from jobfleet_worker.handlers.verdicts import Defer, Fail, Retry, delay_of

_OWN = (Retry, Fail, Defer)
HandlerOutcome = Completed | AttemptFailed | Deferred | Waiting


class ResultRefused(Exception):
    """What the handler returned cannot be stored: hooks see a failure, and undo their work."""

    def __init__(self, outcome: AttemptFailed) -> None:
        super().__init__(outcome.error.message)
        self.outcome = outcome


def outcome_of_call(
    handler: Handler,
    payload: Any,
    context: ContextFacts,
    hooks: OpenHooks,
    loop: AbstractEventLoop,
) -> HandlerOutcome:
    """Call a plain function between its hooks; return how its attempt ends, and raise nothing."""
    run, judge = run_of(context.facts), judge_of(handler, lambda: context.is_stopped)
    try:
        with hooks.around_blocking(handler.plan, run, judge, loop):
            read = handler.read_payload(payload)
            with hooks.values_blocking(handler.plan, run, loop) as values:
                return noted(outcome_of_result(handler.call(read, context, values)), run)
    except BaseException as error:  # noqa: BLE001 - whatever the user's code raises is the outcome
        return outcome_of_error(error, handler.retry_on)


def run_of(facts: AttemptFacts) -> Run:
    """Return an attempt as hooks see it, before its handler runs."""
    return Run(
        job=facts.job,
        attempt=facts.attempt,
        epoch=facts.epoch,
        incarnation=facts.incarnation,
        is_last=facts.is_last,
    )


def judge_of(handler: Handler, is_stopped: Callable[[], bool]) -> Judge:
    """Return what notes in a run how an error ends its attempt."""

    def judge(run: Run, error: BaseException) -> None:
        leaves = list(leaves_of(error))
        if is_stopped() or isinstance(error, CancelledError):
            run.outcome = "stopped"
        elif all(isinstance(each, Defer) for each in leaves):
            run.outcome = "deferred"
        else:
            run.outcome = "failed"
            run.final = run.is_last or _ends_the_job(error, leaves, handler.retry_on)

    return judge


def noted(outcome: HandlerOutcome, run: Run) -> HandlerOutcome:
    """Note in the run that its handler has returned.

    Raises:
        ResultRefused: the result cannot be stored.
    """
    if isinstance(outcome, AttemptFailed):
        raise ResultRefused(outcome)
    if isinstance(outcome, Completed):
        run.outcome, run.result = "completed", outcome.result
    return outcome


def outcome_of_result(result: Any) -> HandlerOutcome:
    """Return how an attempt ends whose handler returned ``result``.

    A result that cannot be stored fails the job at once: another attempt would return the same.
    """
    if type(result) is Waiting:  # isinstance would ask the object, and run code of the user's
        return result
    try:
        if is_plain(result):
            return Completed(result_json(result))
        with outcome_turn():
            return Completed(result_json(result))
    except TypeError as error:
        return AttemptFailed(JobError(type_of(error), str(error)), final=True)
    except BaseException as error:  # noqa: BLE001 - a user's class may raise anything when it is read
        message = (
            f"the handler's result cannot be JSON: {type_of(error)} was raised when it was read"
        )
        return AttemptFailed(JobError("TypeError", message), final=True)


def outcome_of_error(error: BaseException, retry_on: RetryOn) -> HandlerOutcome:
    """Return how an attempt ends whose handler raised ``error``.

    In a group of exceptions, at any depth, counts the first of these that it holds: ``Fail``;
    ``Retry``, the longest delay of several; another error, which is worth another attempt if
    ``retry_on`` names one of them; ``Defer``, the longest of several.
    """
    try:
        if isinstance(error, ResultRefused):
            return error.outcome
        outcome = _judged_in_turn(error, retry_on)
        return replace(outcome, cause=error) if isinstance(outcome, AttemptFailed) else outcome
    except (TypeError, ValueError) as problem:  # a subclass that sets a delay of its own
        return AttemptFailed(describe_error(problem))
    except BaseException as problem:  # noqa: BLE001 - a user's __str__ or __class__ may raise anything
        message = f"it cannot be described: {type(problem).__name__} was raised"
        return AttemptFailed(JobError(type_of(error), message))


def _ends_the_job(error: BaseException, leaves: list[BaseException], retry_on: RetryOn) -> bool:
    if isinstance(error, ResultRefused) or any(isinstance(each, Fail) for each in leaves):
        return True
    if any(isinstance(each, Retry) for each in leaves):
        return False
    return not any(_is_worth_a_retry(each, retry_on) for each in (error, *leaves))


def _judged_in_turn(error: BaseException, retry_on: RetryOn) -> AttemptFailed | Deferred:
    if is_described_at_once(error):
        return _judged(error, list(leaves_of(error)), retry_on)
    with outcome_turn():
        return _judged(error, list(leaves_of(error)), retry_on)


def _judged(
    error: BaseException, leaves: list[BaseException], retry_on: RetryOn
) -> AttemptFailed | Deferred:
    fails = [each for each in leaves if isinstance(each, Fail)]
    retries = [each for each in leaves if isinstance(each, Retry)]
    defers = [each for each in leaves if isinstance(each, Defer)]
    if fails:
        described = _verdict(fails[0], error, leaves)
        return AttemptFailed(described, final=True, details=details_of(fails[0]))
    if retries:
        return _retried(retries, error, leaves)
    if len(defers) < len(leaves):
        final = _ends_the_job(error, leaves, retry_on)
        return AttemptFailed(describe_error(error), final=final)
    longest = max(defers, key=lambda each: delay_of(each.delay))
    return Deferred(delay_of(longest.delay), text_of(longest))


def is_described_at_once(error: BaseException) -> bool:
    """Return whether to describe an error is quick and runs no code of the user's."""
    try:
        return _is_quick(error)
    except BaseException:  # noqa: BLE001 - isinstance asks the error's own __class__ as well
        return False


def _is_quick(error: BaseException) -> bool:
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        if not isinstance(type(following).__str__, WrapperDescriptorType):
            return False
        if isinstance(following, AttributeError):  # its traceback looks for names that are alike
            return False
        if isinstance(following, Retry | Fail | Defer) and type(following) not in _OWN:
            return False
        if not is_plain([*following.args, vars(following).get("details")]):
            return False
        cause = following.__cause__
        following = following.__context__ if cause is None else cause
    return True


def _retried(
    retries: list[Retry], error: BaseException, leaves: list[BaseException]
) -> AttemptFailed:
    asked = [each for each in retries if each.after is not None]
    chosen = max(asked, key=lambda each: delay_of(each.after)) if asked else retries[0]
    after = None if chosen.after is None else delay_of(chosen.after)
    described = _verdict(chosen, error, leaves)
    return AttemptFailed(described, retry_after=after, details=details_of(chosen))


def _verdict(verdict: BaseException, error: BaseException, leaves: list[BaseException]) -> JobError:
    """Describe a verdict; one that was found in a group keeps the group's traceback."""
    described = describe_error(error)
    beside = [each for each in leaves if each is not verdict]
    message = text_of(verdict) + (f" (beside it: {named(beside)})" if beside else "")
    return JobError(type_of(verdict), message, described.traceback, described.place)


def _is_worth_a_retry(error: BaseException, retry_on: RetryOn) -> bool:
    """``SystemExit`` and its like say nothing of the work: they are always worth a retry."""
    is_exit = not isinstance(error, Exception | BaseExceptionGroup)
    return is_exit or isinstance(error, retry_on)
