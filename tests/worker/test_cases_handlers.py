"""Handlers that showed a fault once, each with what is right."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import BaseModel, model_serializer, model_validator

from jobfleet_contracts.outcome import AttemptFailed, Deferred
from jobfleet_contracts.state import State
from jobfleet_worker import BlockingJobContext, Defer, Fail, Retry, handler
from jobfleet_worker.run.handler_pause import handler_pause
from jobfleet_worker.testing import run_handler
from tests.polling import eventually
from tests.worker import case_handlers as cases
from tests.worker.workshop import Workshop

THREE_RUNNERS = [cases.group_on_loop, cases.group_in_thread, cases.group_in_process]


async def test_a_strict_model_reads_what_json_can_hold() -> None:
    assert (await run_handler(cases.strict, {"day": "2026-11-26"})).result == "2026-11-26"


@pytest.mark.parametrize("function", THREE_RUNNERS)
async def test_a_fail_in_a_group_ends_the_job(function: Callable[..., Any]) -> None:
    run = await run_handler(function, "fail")
    assert isinstance(run.outcome, AttemptFailed)
    assert run.outcome.final
    assert run.outcome.details == {"code": 4}
    assert run.error is not None
    assert (run.error.type, run.error.message) == ("Fail", "stolen")
    assert "Traceback" in run.error.traceback


@pytest.mark.parametrize("function", THREE_RUNNERS)
async def test_retry_on_is_found_in_a_group_and_the_message_names_the_inner_errors(
    function: Callable[..., Any],
) -> None:
    run = await run_handler(function, "reset")
    assert run.error is not None
    assert "ConnectionResetError: by peer" in run.error.message
    assert isinstance(run.outcome, AttemptFailed)
    assert not run.outcome.final


@pytest.mark.parametrize("function", THREE_RUNNERS)
async def test_a_bug_in_a_group_ends_the_job_if_retry_on_does_not_name_it(
    function: Callable[..., Any],
) -> None:
    run = await run_handler(function, "bug")
    assert run.error is not None
    assert "KeyError" in run.error.message
    assert isinstance(run.outcome, AttemptFailed)
    assert run.outcome.final


@pytest.mark.parametrize(
    ("raised", "kind", "final", "after"),
    [
        ("defer+reset+retry+fail", "Fail", True, None),
        ("[fail]+bug", "Fail", True, None),
        ("[[fail]]", "Fail", True, None),
        ("defer+retry+reset", "Retry", False, 0.01),
        ("retry+retry-late", "Retry", False, 3600),
        ("defer+reset", "BaseExceptionGroup|ExceptionGroup", False, None),
        ("bug+[reset]", "BaseExceptionGroup|ExceptionGroup", False, None),
        ("defer+bug", "BaseExceptionGroup|ExceptionGroup", True, None),
        ("exit+bug", "BaseExceptionGroup", False, None),
    ],
)
async def test_the_order_in_which_verdicts_of_a_group_count(
    raised: str, kind: str, final: bool, after: float | None
) -> None:
    run = await run_handler(cases.group_in_thread, raised)
    assert isinstance(run.outcome, AttemptFailed)
    assert run.outcome.error.type in kind.split("|")
    assert run.outcome.final is final
    assert run.outcome.retry_after == (None if after is None else timedelta(seconds=after))
    if "bug" in raised:
        assert "a bug" in run.outcome.error.message


@pytest.mark.parametrize("function", THREE_RUNNERS)
async def test_a_group_of_nothing_but_defer_defers(function: Callable[..., Any]) -> None:
    run = await run_handler(function, "defer")
    assert run.outcome == Deferred(timedelta(seconds=5), "not now")
    late = await run_handler(cases.group_in_thread, "defer+[defer-late]")
    assert isinstance(late.outcome, Deferred)
    assert late.outcome.delay == timedelta(hours=1)


@pytest.mark.parametrize("value", [-10, -0.001, timedelta(seconds=-1), float("nan"), float("inf")])
@pytest.mark.parametrize("verdict", [Defer, lambda value: Retry(after=value)])
def test_a_delay_that_cannot_be_is_refused(verdict: Callable[..., Any], value: Any) -> None:
    with pytest.raises(ValueError, match="delay"):
        verdict(value)


@pytest.mark.parametrize("value", ["60", True, [1], object()])
@pytest.mark.parametrize("verdict", [Defer, lambda value: Retry(after=value)])
def test_a_delay_that_is_no_number_is_refused(verdict: Callable[..., Any], value: Any) -> None:
    with pytest.raises(TypeError, match="delay"):
        verdict(value)


async def test_a_delay_that_a_subclass_sets_wrong_fails_the_attempt_and_says_so() -> None:
    class Soon(Retry):
        after = "soon"  # type: ignore[assignment]

        def __init__(self) -> None:
            Exception.__init__(self, "soon")

    async def work() -> None:
        raise Soon

    run = await run_handler(work)
    assert run.error is not None
    assert "a delay is a number of seconds" in run.error.message


@pytest.mark.parametrize(
    ("function", "payload"),
    [
        (cases.progress_in_process, None),
        (cases.progress_in_thread, None),
        (cases.progress_on_loop, None),
    ],
)
async def test_contexts_may_be_used_by_several_threads_at_once(
    workshop: Workshop, function: Callable[..., Any], payload: Any
) -> None:
    workshop.start_worker(function)
    (declared,) = function.__jobfleet_handlers__  # type: ignore[attr-defined]
    head = await workshop.run(declared.job_type, payload)
    assert head.data["result"] == 40
    assert (await run_handler(function)).result == 40


@pytest.mark.parametrize("function", [cases.large_error, cases.large_error_in_process])
async def test_a_large_error_is_cut_with_a_mark(function: Callable[..., Any]) -> None:
    run = await run_handler(function)
    assert run.error is not None
    assert len(run.error.message) <= 4_000
    assert run.error.message.endswith("characters cut]")
    assert len(run.error.traceback) < 9_000
    assert "characters cut]" in run.error.traceback


def _of_thread(value: Any) -> Callable[..., Any]:
    def work() -> Any:
        if isinstance(value, BaseException):
            raise value
        return value

    return work


def _of_loop(value: Any) -> Callable[..., Any]:
    async def work() -> Any:
        if isinstance(value, BaseException):
            raise value
        return value

    return work


@pytest.mark.parametrize("kind", cases.HOSTILE)
@pytest.mark.parametrize(
    "function", [cases.hostile_on_loop, cases.hostile_in_thread, cases.hostile_in_process]
)
async def test_whatever_a_handler_raises_its_attempt_ends_with_an_error_of_bounded_size(
    function: Callable[..., Any], kind: str
) -> None:
    run = await run_handler(function, kind)
    assert isinstance(run.outcome, AttemptFailed)
    assert len(run.outcome.error.type) <= 200
    assert len(run.outcome.error.message) <= 4_000
    assert len(run.outcome.error.traceback) < 9_000
    if kind == "a deep group":
        assert (run.outcome.error.type, run.outcome.final) == ("Fail", True)


async def test_large_details_are_left_out_and_said_so() -> None:
    async def work() -> None:
        raise Fail("no use", details={"log": "x" * 2_000_000})

    run = await run_handler(work)
    assert isinstance(run.outcome, AttemptFailed)
    assert "left out" in run.outcome.details["details"]


async def test_defer_at_once_waits_a_second_at_least(workshop: Workshop) -> None:
    workshop.start_worker(cases.defer_at_once)
    job_id = await workshop.submit("case.defer-at-once")
    head = await workshop.until_state(job_id, State.DEFERRED)
    assert head.data == {"reason": "handler", "deferrals": 0}
    started = (await workshop.history(job_id))[-2]
    assert head.after.due_at is not None
    assert head.after.due_at - started.occurred_at >= timedelta(seconds=1)

    async def again() -> Any:
        found = await workshop.until_state(job_id, State.DEFERRED)
        return found if found.data["deferrals"] >= 1 else None

    await eventually("the second deferral", again, seconds=120)
    await workshop.canceller.cancel(job_id, by=None)
    await workshop.until_ended(job_id)


def test_the_pause_of_a_job_that_its_handler_defers_again_and_again_grows() -> None:
    at_once, minute = timedelta(0), timedelta(minutes=1)
    pauses = [handler_pause(at_once, deferrals).total_seconds() for deferrals in range(0, 80, 10)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert handler_pause(at_once, 10**9) == minute
    assert handler_pause(minute * 5, 70) == minute * 5


def _array(module: str) -> Any:
    """A value as numpy's and pandas' are: of no kind that JSON knows."""
    return type("ndarray", (), {"__module__": module})()


UNSTORABLE: dict[str, tuple[Callable[[], Any], str]] = {
    "numpy": (lambda: _array("numpy"), ".tolist()"),
    "pandas": (lambda: {"rows": [_array("pandas.core.frame")]}, ".to_dict()"),
    "object": (object, "pydantic model"),
    "set": (lambda: {1}, "plain JSON"),
    "nan": (lambda: float("nan"), "plain JSON"),
    "function": (lambda: time.sleep, "plain JSON"),
}


@pytest.mark.parametrize("what", UNSTORABLE)
async def test_a_result_that_cannot_be_stored_fails_once_and_says_what_to_return(
    what: str,
) -> None:
    make, advice = UNSTORABLE[what]

    def work() -> Any:
        return make()

    async def work_on_loop() -> Any:
        return make()

    for function in (work, work_on_loop):
        run = await run_handler(function)
        assert isinstance(run.outcome, AttemptFailed)
        assert run.outcome.final
        assert advice in run.outcome.error.message


class Slow(BaseModel):
    """Notes in which thread it is read and written, and takes its time."""

    number: int
    threads: list[str] = []

    @model_validator(mode="after")
    def _note(self) -> Slow:
        self.threads.append(threading.current_thread().name)
        return self

    @model_serializer
    def _write(self) -> dict[str, Any]:
        time.sleep(0.05)
        return {"threads": [*self.threads, threading.current_thread().name]}


class SlowError(Exception):
    def __str__(self) -> str:
        time.sleep(0.05)
        return threading.current_thread().name


async def test_results_and_errors_of_coroutines_are_not_made_text_on_the_loop() -> None:
    async def give(payload: Slow) -> Slow:
        return payload

    async def refuse() -> None:
        raise SlowError

    run = await run_handler(give, {"number": 1})
    assert run.result["threads"][1].startswith("outcome-")
    failed = await run_handler(refuse)
    assert failed.error is not None
    assert failed.error.message.startswith("outcome-")


async def test_payload_result_and_error_of_a_thread_are_handled_in_it() -> None:
    def give(payload: Slow) -> Slow:
        return payload

    def refuse() -> None:
        raise SlowError

    run = await run_handler(give, {"number": 1})
    assert all(each.startswith("handler-") for each in run.result["threads"])
    failed = await run_handler(refuse)
    assert failed.error is not None
    assert failed.error.message.startswith("handler-")


@pytest.mark.parametrize(("what", "result"), [("colour", "red"), ("size", 3), ("both", ["red", 3])])
async def test_values_of_a_users_own_classes_leave_a_process_as_plain_json(
    what: str, result: Any
) -> None:
    run = await run_handler(cases.enum_in_process, what)
    assert run.result == result
    assert type(run.result) is type(result)


class Said:
    """A text of the user's own kind."""

    def __str__(self) -> str:
        return threading.current_thread().name


async def test_texts_of_progress_are_made_where_the_handler_runs() -> None:
    def work(context: BlockingJobContext) -> None:
        context.progress(1, message=Said())  # type: ignore[arg-type]

    (step,) = (await run_handler(work)).steps
    assert step.message.startswith("handler-")


class Endless(BaseModel):
    @model_serializer
    def _write(self) -> dict[str, Any]:
        time.sleep(3)
        return {}


class EndlessError(Exception):
    def __str__(self) -> str:
        time.sleep(3)
        return "at last"


@pytest.mark.parametrize("value", [Endless(), EndlessError()])
@pytest.mark.parametrize("made", [_of_thread, _of_loop])
async def test_making_a_result_or_an_error_text_counts_into_the_time_limit(
    workshop: Workshop, made: Callable[..., Any], value: Any
) -> None:
    function = handler("slow", timeout=0.2, max_attempts=1)(made(value))
    workshop.start_worker(function, grace_seconds=0.1)
    head = await workshop.run("slow")
    assert head.after.state is State.TIMED_OUT


class SlowToRead(BaseModel):
    number: int

    @model_validator(mode="after")
    def _check(self) -> SlowToRead:
        time.sleep(3)
        return self


class RefusesWithItsOwnError(BaseModel):
    number: int

    @model_validator(mode="after")
    def _check(self) -> RefusesWithItsOwnError:
        raise SystemExit(3)


async def _takes_slow(payload: SlowToRead) -> None:
    """Never begins."""


async def _takes_refused(payload: RefusesWithItsOwnError) -> None:
    """Never begins."""


async def test_a_slow_validator_of_a_payload_counts_into_the_time_limit(
    workshop: Workshop,
) -> None:
    function = handler("slow", timeout=0.2, max_attempts=1)(_takes_slow)
    workshop.start_worker(function, grace_seconds=0.1)
    head = await workshop.run("slow", {"number": 1})
    assert head.after.state is State.TIMED_OUT


async def test_a_validator_that_exits_fails_the_attempt(workshop: Workshop) -> None:
    workshop.start_worker(handler("exits", max_attempts=1)(_takes_refused))
    head = await workshop.run("exits", {"number": 1})
    assert head.after.state is State.FAILED
    assert head.data["error"]["type"] == "SystemExit"


@pytest.mark.parametrize(
    "function",
    [cases.over_its_limit, cases.over_its_limit_on_the_loop, cases.over_its_limit_in_a_process],
)
async def test_what_is_returned_after_the_time_limit_is_no_result(
    workshop: Workshop, tmp_path: Path, function: Callable[..., Any]
) -> None:
    (declared,) = function.__jobfleet_handlers__  # type: ignore[attr-defined]
    workshop.start_worker(function, grace_seconds=5)
    file = tmp_path / "let go"
    job_id = await workshop.submit(declared.job_type, str(file), max_attempts=1)
    limit = threading.Timer(0.6, file.touch)
    limit.start()
    head = await workshop.until_ended(job_id)
    limit.join()
    assert head.after.state is State.TIMED_OUT
    assert head.data["error"]["type"] == "TimedOut"


async def test_what_a_handler_raises_is_logged_with_its_traceback(workshop: Workshop) -> None:
    @handler("job")
    async def work(payload: None) -> None:
        raise ConnectionResetError("by peer")

    with structlog.testing.capture_logs(
        processors=[structlog.contextvars.merge_contextvars]
    ) as entries:
        workshop.start_worker(work)
        head = await workshop.run("job", max_attempts=2)
    failures = [entry for entry in entries if entry["event"] == "attempt.failed"]
    assert [(entry["log_level"], entry["attempt"]) for entry in failures] == [
        ("warning", 1),
        ("error", 2),
    ]
    for entry in failures:
        assert entry["error"] == "ConnectionResetError: by peer"
        assert "Traceback (most recent call last)" in entry["exception"]
        assert (entry["job_id"], entry["type"]) == (head.job_id, "job")
