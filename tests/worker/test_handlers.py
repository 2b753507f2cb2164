"""What a handler may be, what it is given, and what becomes of what it returns or raises."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

from jobfleet_contracts.event import Event
from jobfleet_contracts.state import State
from jobfleet_worker import BlockingJobContext, Defer, Fail, JobContext, Retry, handler
from jobfleet_worker.handlers.registry import HandlerImportError, Handlers
from tests.worker import process_handlers
from tests.worker.workshop import Workshop


class Invoice(BaseModel):
    number: int
    lines: list[str] = []


@dataclass
class Point:
    x: int
    y: int = 0


async def result_of(workshop: Workshop, function: Any, payload: Any = None) -> Event:
    workshop.start_worker(function)
    return await workshop.run("job", payload)


def error_of(event: Event) -> dict[str, str]:
    error: dict[str, str] = event.data["error"]
    return error


async def test_a_coroutine_function_gets_its_payload_as_the_model_that_it_names(
    workshop: Workshop,
) -> None:
    @handler("job")
    async def work(payload: Invoice, context: JobContext) -> Invoice:
        assert context.attempt == 1
        return Invoice(number=payload.number + 1, lines=payload.lines)

    head = await result_of(workshop, work, {"number": 1, "lines": ["a"]})
    assert head.data["result"] == {"number": 2, "lines": ["a"]}


async def test_a_plain_function_runs_in_a_thread_and_gets_a_dataclass(workshop: Workshop) -> None:
    @handler("job")
    def work(payload: Point, context: BlockingJobContext) -> Point:
        context.progress(1, 1, "from the thread")
        return Point(payload.y, payload.x)

    head = await result_of(workshop, work, {"x": 1, "y": 2})
    assert head.data["result"] == {"x": 2, "y": 1}
    assert "Step 1" in await workshop.statuses(head.job_id)


async def test_a_handler_may_take_plain_json_or_no_payload_or_only_the_context(
    workshop: Workshop,
) -> None:
    @handler("plain")
    async def plain(payload):  # type: ignore[no-untyped-def]
        return payload

    @handler("nothing")
    async def nothing() -> str:
        return "done"

    @handler("context")
    def only_context(context: BlockingJobContext) -> str:
        return context.job.job_name

    workshop.start_worker(plain, nothing, only_context)
    assert (await workshop.run("plain", [1, {"a": None}])).data["result"] == [1, {"a": None}]
    assert (await workshop.run("nothing", {"ignored": 1})).data["result"] == "done"
    assert (await workshop.run("context", job_name="a name")).data["result"] == "a name"


@pytest.mark.parametrize("attempts", [1, 3])
async def test_a_payload_that_does_not_fit_fails_the_job_at_once_and_says_where(
    workshop: Workshop, attempts: int
) -> None:
    @handler("job")
    async def work(payload: Invoice) -> None: ...

    workshop.start_worker(work)
    head = await workshop.run("job", {"number": "many"}, max_attempts=attempts)
    assert head.status == "Failed"
    assert "payload.number" in head.message
    assert await workshop.statuses(head.job_id) == ["Queued", "Started", "Failed"]


async def test_only_errors_named_by_retry_on_are_worth_another_attempt(workshop: Workshop) -> None:
    @handler("job", retry_on=(OSError,), max_attempts=2)
    async def work(payload: str) -> None:
        raise FileNotFoundError("gone") if payload == "retry" else KeyError("a bug")

    workshop.start_worker(work)
    again = await workshop.run("job", "retry")
    assert (await workshop.statuses(again.job_id)).count("Started") == 2
    once = await workshop.run("job", "bug")
    assert await workshop.statuses(once.job_id) == ["Queued", "Started", "Failed"]


async def test_the_decorators_limits_are_defaults_for_jobs_that_do_not_say(
    workshop: Workshop,
) -> None:
    @handler("job", max_attempts=1, timeout=0.2)
    def work(payload: None, context: BlockingJobContext) -> None:
        while not context.cancelled:
            pass
        raise TimeoutError("stopped")

    workshop.start_worker(work)
    head = await workshop.run("job")
    assert head.after.state is State.TIMED_OUT
    assert head.message == "over its time limit of 0.2 s"
    head = await workshop.run("job", max_attempts=2, timeout_seconds=0.1)
    assert head.after.attempt == 2
    assert head.message == "over its time limit of 0.1 s"


async def test_retry_fail_and_defer_choose_the_outcome(workshop: Workshop) -> None:
    @handler("job")
    async def work(payload: str, context: JobContext) -> str:
        if payload == "fail":
            raise Fail("no use")
        if payload == "retry" and context.attempt == 1:
            raise Retry("later", after=0.05)
        if payload == "defer" and context.epoch == 1:
            raise Defer(0.05, "not now")
        return f"attempt {context.attempt}"

    workshop.start_worker(work)
    failed = await workshop.run("job", "fail")
    assert await workshop.statuses(failed.job_id) == ["Queued", "Started", "Failed"]
    retried = await workshop.run("job", "retry")
    assert retried.data["result"] == "attempt 2"
    assert (await workshop.history(retried.job_id))[3].data == {"delaySeconds": 0.05}
    deferred = await workshop.run("job", "defer")
    assert deferred.data["result"] == "attempt 1"
    assert (await workshop.history(deferred.job_id))[2].message == "not now"


def _circle() -> list[Any]:
    circle: list[Any] = []
    circle.append(circle)
    return circle


def _broken_stream() -> Iterator[int]:
    yield 1
    raise KeyError("no second row")


def _deep() -> list[Any]:
    deep: list[Any] = []
    for _ in range(150):
        deep = [deep]
    return deep


NOT_JSON: dict[str, tuple[Callable[[], Any], str]] = {
    "set": (lambda: {1, 2}, "set"),
    "set within": (lambda: {"a": [{1}]}, "set"),
    "bytes": (lambda: b"text", "bytes"),
    "nan": (lambda: {"a": float("nan")}, "nan"),
    "object": (object, "object"),
    "function": (lambda: print, "builtin"),
    "lone surrogate": (lambda: "\ud800", "surrogate"),
    "integer beyond 64 bits": (lambda: 2**70, "64"),
    "circle": (_circle, "ircular"),
    "depth": (_deep, "nested"),
    "generator that raises": (_broken_stream, "no second row"),
}


@pytest.mark.parametrize("what", NOT_JSON)
async def test_a_result_that_json_cannot_hold_fails_its_attempt_and_says_so(
    workshop: Workshop, what: str
) -> None:
    make, message = NOT_JSON[what]

    @handler("job", max_attempts=1)
    async def work(payload: None) -> Any:
        return make()

    head = await result_of(workshop, work)
    assert head.status == "Failed"
    assert "result" in head.message
    assert message in head.message


class Forgetful(Exception):
    """Does not call the constructor of the verdict that it is."""

    def __init__(self) -> None:
        pass


@pytest.mark.parametrize("verdict", [Retry, Fail, Defer])
async def test_a_verdict_that_forgets_its_base_constructor_is_one_all_the_same(
    workshop: Workshop, verdict: type[Exception]
) -> None:
    class Mine(Forgetful, verdict):  # type: ignore[misc, valid-type]
        pass

    @handler("job", max_attempts=2)
    async def work(payload: None) -> None:
        raise Mine

    workshop.start_worker(work)
    job_id = await workshop.submit("job", retry_delay_seconds=0)
    state = State.DEFERRED if verdict is Defer else State.FAILED
    await workshop.until_state(job_id, state)


@pytest.mark.parametrize(("options", "delay"), [({}, 0.5), ({"retry_delay_seconds": 0.25}, 0.25)])
async def test_the_back_off_of_a_handler_holds_for_jobs_that_do_not_say(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, options: dict[str, float], delay: float
) -> None:
    monkeypatch.setattr("random.uniform", lambda _, high: high)  # no jitter

    @handler("job", max_attempts=2, retry_delay=0.5)
    async def work(payload: None) -> None:
        raise OSError

    workshop.start_worker(work)
    ended = await workshop.run("job", **options)
    pauses = [
        event.data["delaySeconds"]
        for event in await workshop.history(ended.job_id)
        if event.status == "RetryScheduled"
    ]
    assert pauses == [delay]


async def test_an_error_with_hostile_text_still_ends_the_attempt(workshop: Workshop) -> None:
    @handler("job", max_attempts=1)
    async def work(payload: None, context: JobContext) -> None:
        await context.progress(1, 2, "half \ud800 a character")
        raise ValueError("half \ud800 a character " + "x" * 50_000)

    head = await result_of(workshop, work)
    assert head.status == "Failed"
    assert head.message.endswith("characters cut]")
    assert error_of(head)["message"].startswith("half ")


@pytest.mark.parametrize("seconds", [-5, 1e12, 1e300, float("nan"), float("inf"), "60"])
@pytest.mark.parametrize("verdict", [Retry, Defer])
async def test_an_impossible_delay_ends_the_attempt_and_not_the_worker(
    workshop: Workshop, verdict: type[Exception], seconds: Any
) -> None:
    @handler("job", max_attempts=2)
    async def work(payload: None, context: JobContext) -> str:
        if context.epoch == 1:
            raise Retry("soon", after=seconds) if verdict is Retry else Defer(seconds)
        return "recovered"

    head = await result_of(workshop, work)
    assert head.data["result"] == "recovered"
    assert "TakenOver" not in await workshop.statuses(head.job_id)


@pytest.mark.parametrize("details", [{"error": 5}, {"rows": _broken_stream()}])
async def test_details_of_any_kind_leave_the_error_as_it_is(
    workshop: Workshop, details: dict[str, Any]
) -> None:
    @handler("job", max_attempts=1)
    async def work(payload: None) -> None:
        raise Fail("no use", details=details)

    head = await result_of(workshop, work)
    assert error_of(head)["message"] == "no use"


@pytest.mark.parametrize("way_out", [SystemExit(3), KeyboardInterrupt()])
async def test_a_handler_that_leaves_as_a_program_does_fails_and_the_worker_lives_on(
    workshop: Workshop, way_out: BaseException
) -> None:
    @handler("job", max_attempts=1)
    async def leaves(payload: None) -> None:
        raise way_out

    @handler("thread", max_attempts=1)
    def leaves_thread(payload: None) -> None:
        raise way_out

    workshop.start_worker(leaves, leaves_thread)
    for job_type in ("job", "thread"):
        head = await workshop.run(job_type)
        assert head.status == "Failed"
        assert error_of(head)["type"] == type(way_out).__name__


async def test_a_type_without_handler_fails_and_names_what_there_is(workshop: Workshop) -> None:
    workshop.start_worker(no_handler_seconds=0)
    head = await workshop.run("unheard.of")
    assert head.status == "Failed"
    assert head.message.startswith("no handler for 'unheard.of'")
    assert "demo.steps" in head.message
    assert head.after.attempt == 1


async def test_a_process_reports_progress_checkpoints_and_its_result(workshop: Workshop) -> None:
    workshop.start_worker(process_handlers.echo)
    head = await workshop.run("process.echo", [1, "ü"])
    assert head.data["result"]["payload"] == [1, "ü"]
    history = await workshop.history(head.job_id)
    assert f"in process {head.data['result']['pid']}" in history[2].message
    assert history[3].data == {"checkpoint": {"seen": [1, "ü"]}}


@pytest.mark.parametrize(
    ("what", "status", "kind"),
    [
        ("error", "Failed", "Unlucky"),
        ("retry", "Failed", "Retry"),
        ("fail", "Failed", "Fail"),
        ("silent", "Failed", "Silent"),
        ("lambda", "Failed", "Fail"),
        ("exit", "Failed", "SystemExit"),
        ("die", "Failed", "ProcessDied"),
    ],
)
async def test_what_a_process_raises_ends_the_attempt_as_it_would_elsewhere(
    workshop: Workshop, what: str, status: str, kind: str
) -> None:
    workshop.start_worker(process_handlers.raise_error)
    head = await workshop.run("process.raise", {"what": what}, max_attempts=1)
    assert head.status == status
    assert error_of(head)["type"] == kind


async def test_a_process_may_defer_its_job(workshop: Workshop) -> None:
    workshop.start_worker(process_handlers.raise_error)
    job_id = await workshop.submit("process.raise", {"what": "defer"})
    head = await workshop.until_state(job_id, State.DEFERRED)
    assert head.message == "not yet"
    await workshop.canceller.cancel(job_id, by=None)
    await workshop.until_ended(job_id)


async def test_retry_on_holds_for_processes_too(workshop: Workshop) -> None:
    workshop.start_worker(process_handlers.fail_for_good, process_handlers.fail_as_declared)
    once = await workshop.run("process.once")
    assert (await workshop.statuses(once.job_id)).count("Started") == 1
    twice = await workshop.run("process.timed")
    assert (await workshop.statuses(twice.job_id)).count("Started") == 2


async def test_a_checkpoint_that_is_refused_raises_in_the_process(workshop: Workshop) -> None:
    workshop.start_worker(process_handlers.bad_checkpoint)
    head = await workshop.run("process.checkpoint", max_attempts=1)
    assert "checkpoint" in head.data["result"]


def test_a_module_that_does_not_import_is_named_with_its_traceback(tmp_path: Any) -> None:
    with pytest.raises(HandlerImportError, match=r"tests\.worker\.broken_handlers") as caught:
        Handlers.load(["tests.worker.broken_handlers"])
    assert "ZeroDivisionError" in str(caught.value)
    with pytest.raises(HandlerImportError, match=r"tests\.no_such_module"):
        Handlers.load(["tests.no_such_module"])


def test_two_handlers_of_one_type_are_both_named() -> None:
    @handler("job")
    async def first(payload: None) -> None: ...

    @handler("job")
    async def second(payload: None) -> None: ...

    with pytest.raises(HandlerImportError, match="two handlers") as caught:
        Handlers.of(first, second)
    assert "first" in str(caught.value)
    assert "second" in str(caught.value)
