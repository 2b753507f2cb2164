"""Hooks: at start and end, around attempts, after failures; and values by annotation."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from jobfleet_contracts.state import State
from jobfleet_worker import (
    BlockingJobContext,
    Defer,
    Fail,
    JobContext,
    Retry,
    Run,
    around_attempt,
    handler,
    on_error,
    on_shutdown,
    on_startup,
    provide,
)
from jobfleet_worker.handlers.open_hooks import HookFailed
from jobfleet_worker.handlers.registry import Handlers
from jobfleet_worker.testing import run_handler
from tests.polling import eventually
from tests.worker import hooked_handlers
from tests.worker.workshop import Workshop


class Client:
    """Lives as long as a worker."""


class Session:
    """Lives as long as an attempt."""

    def __init__(self, client: Client) -> None:
        self.client = client


class Notes(list[str]):
    """What happened, in its order, and hooks that note it."""

    def hooks(self) -> list[Any]:
        @on_startup
        async def startup() -> None:
            self.append("startup")

        @on_shutdown
        def shutdown() -> None:
            self.append("shutdown")

        @provide(per="worker")
        async def client() -> AsyncIterator[Client]:
            self.append("client opens")
            yield Client()
            self.append("client closes")

        @provide
        def session(client: Client) -> Iterator[Session]:
            self.append("session opens")
            try:
                yield Session(client)
            finally:
                self.append("session closes")

        @around_attempt(order=2)
        def inner(run: Run) -> Iterator[None]:
            self.append("inner")
            try:
                yield
            finally:
                self.append(f"inner {run.outcome}")

        @around_attempt(order=1)
        async def outer(run: Run) -> AsyncIterator[None]:
            self.append(f"outer of {run.job.type}, attempt {run.attempt}")
            try:
                yield
            finally:
                self.append(f"outer {run.outcome}")

        return [startup, shutdown, client, session, inner, outer]


def around(inside: str, kind: str = "job") -> list[str]:
    return [
        f"outer of {kind}, attempt 1",
        "inner",
        "session opens",
        inside,
        "session closes",
        "inner completed",
        "outer completed",
    ]


async def test_hooks_and_values_open_and_close_in_order_around_both_kinds_of_handler(
    workshop: Workshop,
) -> None:
    notes = Notes()

    @handler("job")
    async def work(payload: str, session: Session, context: JobContext) -> str:
        notes.append(f"handler of attempt {context.attempt}")
        return payload

    @handler("plain")
    def plain(payload: str, context: BlockingJobContext, *, session: Session) -> str:
        notes.append(f"handler of attempt {context.attempt}")
        return payload

    running = workshop.start_worker(work, plain, *notes.hooks())
    assert (await workshop.run("job", "a")).data["result"] == "a"
    assert (await workshop.run("plain", "b")).data["result"] == "b"
    await running.stop()
    assert notes == [
        "startup",
        "client opens",
        *around("handler of attempt 1"),
        *around("handler of attempt 1", "plain"),
        "shutdown",
        "client closes",
    ]


async def test_each_process_has_hooks_and_values_of_its_own_for_all_its_jobs(
    tmp_path: Path, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = tmp_path / "notes"
    monkeypatch.setenv("HOOKED_NOTES", str(notes))
    monkeypatch.setenv("HOOKED_WORKER", str(os.getpid()))
    running = workshop.start_worker(
        hooked_handlers.count,
        *Handlers.load(["tests.worker.hooked_handlers"]).hooks.functions,
        processes=1,
    )
    for _ in range(2):
        assert (await workshop.run("hooked.process", 1)).data["result"] == 2
    await running.stop()
    lines = notes.read_text(encoding="utf-8").splitlines()
    attempt = [
        "around",
        "session of attempt 1",
        "handler",
        "session completed",
        "around completed",
    ]
    assert lines == [
        "startup",
        "register opened",
        *attempt,
        *attempt,
        "shutdown",
        "register closed",
    ]


@pytest.mark.parametrize("kind", ["loop", "thread"])
async def test_a_cancelled_attempt_closes_what_it_opened(workshop: Workshop, kind: str) -> None:
    notes = Notes()
    began = threading.Event()

    @handler("job")
    async def work(session: Session) -> None:
        began.set()
        await asyncio.sleep(60)

    @handler("job")
    def plain(session: Session, context: BlockingJobContext) -> None:
        began.set()
        while not context.cancelled:
            threading.Event().wait(0.01)
        raise RuntimeError("as asked")

    workshop.start_worker(work if kind == "loop" else plain, *notes.hooks())
    job_id = await workshop.submit("job")
    await asyncio.to_thread(began.wait, 30)
    await workshop.canceller.cancel(job_id, by="a test")
    await workshop.until_state(job_id, State.CANCELLED)
    assert notes[-3:] == ["session closes", "inner stopped", "outer stopped"]


@pytest.mark.parametrize(
    ("raised", "outcome", "final"),
    [
        (ValueError("once more"), "failed", False),
        (Fail("never"), "failed", True),
        (Retry("soon", after=60), "failed", False),
        (Defer(60), "deferred", False),
        (TypeError("not worth it"), "failed", True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
async def test_hooks_around_see_how_a_failed_attempt_ends(
    raised: Exception, outcome: str, final: bool
) -> None:
    seen: list[tuple[str | None, bool, str]] = []

    @around_attempt
    def watch(run: Run) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - a hook that keeps an error to itself
            # It does not raise it again, and the attempt fails all the same.
            seen.append((run.outcome, run.final, str(error)))

    @handler("job", retry_on=(ValueError,))
    async def work() -> None:
        raise raised

    @handler("job", retry_on=(ValueError,))
    def plain() -> None:
        raise raised

    for each in (work, plain):
        run = await run_handler(each, hooks=[watch])
        assert not run.completed
    assert seen == [(outcome, final, str(raised))] * 2


async def test_a_result_that_cannot_be_stored_is_a_failure_for_hooks() -> None:
    seen: list[str | None] = []

    @around_attempt
    async def watch(run: Run) -> AsyncIterator[None]:
        try:
            yield
        except Exception:
            seen.append(run.outcome)
            raise

    @handler("job")
    async def work() -> set[int]:
        return {1}

    @handler("job")
    def plain() -> set[int]:
        return {1}

    for each in (work, plain):
        run = await run_handler(each, hooks=[watch])
        assert run.error is not None
        assert "set" in run.error.message
    assert seen == ["failed", "failed"]


async def test_a_hook_that_fails_after_success_counts_only_if_it_is_transactional() -> None:
    @around_attempt
    async def watches(run: Run) -> AsyncIterator[None]:
        yield
        raise RuntimeError("the metrics server is gone")

    @around_attempt(transactional=True)
    async def commits(run: Run) -> AsyncIterator[None]:
        yield
        raise RuntimeError("the commit failed")

    @provide
    def closes() -> Iterator[Client]:
        yield Client()
        raise RuntimeError("the commit failed")

    @handler("job")
    async def work() -> int:
        return 1

    @handler("job")
    def plain() -> int:
        return 1

    @handler("job")
    def asks(client: Client) -> int:
        return 1

    for each in (work, plain):
        assert (await run_handler(each, hooks=[watches])).result == 1
        failed = await run_handler(each, hooks=[commits])
        assert failed.error is not None
        assert failed.error.message == "the commit failed"
        assert failed.will_retry
    assert (await run_handler(asks, hooks=[closes])).will_retry


async def test_a_hook_that_exits_after_success_changes_no_outcome() -> None:
    @around_attempt
    async def leaves(run: Run) -> AsyncIterator[None]:
        yield
        sys.exit(3)

    @around_attempt
    def interrupts(run: Run) -> Iterator[None]:
        yield
        raise KeyboardInterrupt

    @handler("job")
    async def work() -> int:
        return 1

    @handler("job")
    def plain() -> int:
        return 1

    for each in (work, plain):
        with capture_logs() as log:
            assert (await run_handler(each, hooks=[leaves, interrupts])).result == 1
        assert [line["event"] for line in log] == ["hook.failed", "hook.failed"]


async def test_a_hook_that_exits_after_a_failure_is_logged_and_the_others_are_called() -> None:
    heard: list[str] = []

    @on_error
    async def leaves(error: BaseException, run: Run) -> None:
        sys.exit(3)

    @on_error
    def leaves_too(error: BaseException, run: Run) -> None:
        raise KeyboardInterrupt

    @on_error
    def hears(error: BaseException, run: Run) -> None:
        heard.append(str(error))

    @handler("job")
    async def work() -> None:
        raise ValueError("always")

    with capture_logs() as log:
        run = await run_handler(work, hooks=[leaves, leaves_too, hears])
    assert run.error is not None
    assert heard == ["always"]
    assert [line["event"] for line in log] == ["hook.failed", "hook.failed"]


async def test_a_hook_may_raise_another_error_and_may_refuse_the_attempt() -> None:
    @around_attempt
    def translates(run: Run) -> Iterator[None]:
        try:
            yield
        except ConnectionError as error:
            raise Defer(60, "the database is away") from error

    @around_attempt(types=["other", "job"])
    async def refuses(run: Run) -> AsyncIterator[None]:
        if run.job.payload == "not now":
            raise Defer(60, "not now")
        yield

    @around_attempt(types=["other"])
    async def of_others(run: Run) -> AsyncIterator[None]:
        assert run.job.type == "other"
        yield

    @handler("job")
    async def work(payload: str) -> None:
        raise ConnectionError("refused")

    hooks = [translates, refuses, of_others]
    assert (await run_handler(work, "x", hooks=hooks)).was_deferred
    assert (await run_handler(work, "not now", hooks=hooks)).was_deferred


async def test_a_hook_of_a_module_stands_around_its_own_handlers_only() -> None:
    seen: list[str] = []

    @around_attempt(scope="module")
    def own(run: Run) -> Iterator[None]:
        seen.append("own")
        yield

    @around_attempt(scope="module")
    def foreign(run: Run) -> Iterator[None]:
        seen.append("foreign")
        yield

    foreign.__module__ = "elsewhere"

    @handler("job")
    async def work() -> None: ...

    assert (await run_handler(work, hooks=[foreign, own])).completed
    assert seen == ["own"]


async def test_errors_are_reported_once_with_the_exception_and_whether_it_was_the_last(
    workshop: Workshop,
) -> None:
    reported: list[tuple[str, str, int, bool]] = []

    @on_error
    async def broken(error: BaseException, run: Run) -> None:
        raise RuntimeError("a hook that fails changes nothing")

    @on_error
    def report(error: BaseException, run: Run) -> None:
        reported.append((f"{type(error).__name__}: {error}", run.job.type, run.attempt, run.final))

    @handler("async")
    async def work() -> None:
        raise ValueError("always")

    @handler("plain")
    def plain() -> None:
        raise Fail("for good")

    @handler("slow", timeout=0.1, max_attempts=1)
    async def slow() -> None:
        await asyncio.sleep(60)

    @handler("deferred")
    async def deferred(payload: Any, context: JobContext) -> None:
        if context.epoch == 1:
            raise Defer(0.01)

    workshop.start_worker(work, plain, slow, deferred, broken, report)
    await workshop.run("async", max_attempts=2)
    await workshop.run("plain")
    await workshop.run("slow")
    assert (await workshop.run("deferred")).after.state is State.COMPLETED
    expected = [
        ("ValueError: always", "async", 1, False),
        ("ValueError: always", "async", 2, True),
        ("Fail: for good", "plain", 1, True),
        ("TimeoutError: over its time limit of 0.1 s", "slow", 1, True),
    ]

    async def all_reported() -> bool:
        return len(reported) == len(expected)

    await eventually("each failure is reported", all_reported)
    assert reported == expected


async def test_a_worker_whose_start_fails_closes_what_it_opened_and_takes_no_job(
    workshop: Workshop,
) -> None:
    notes: list[str] = []

    @provide(per="worker")
    def client() -> Iterator[Client]:
        notes.append("opened")
        yield Client()
        notes.append("closed")

    class Broken:
        pass

    @provide(per="worker")
    async def broken() -> Broken:
        raise ConnectionError("no route")

    @handler("job")
    async def work(client: Client, other: Broken) -> None: ...

    job_id = await workshop.submit("job")
    running = workshop.start_worker(work, client, broken)
    with pytest.raises(HookFailed, match=r"broken .*@provide raised ConnectionError: no route"):
        await running._task
    assert notes == ["opened", "closed"]
    assert await workshop.statuses(job_id) == ["Queued"]
