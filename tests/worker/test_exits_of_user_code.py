"""Whatever user code raises on the worker's loop, worker and neighbours go on."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import uvloop

from jobfleet_backends.settings import Settings
from jobfleet_backends.sqlite.backend import open_embedded
from jobfleet_contracts.state import State
from jobfleet_worker import handler
from jobfleet_worker.handlers.context import JobContext
from jobfleet_worker.run.user_code_loop import LoopLost, run_through
from tests.protocol.steered_clock import SteeredClock
from tests.worker.workshop import Workshop

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class OwnExit(BaseException):
    """An exception that ``except Exception`` does not catch."""


def leave() -> None:
    sys.exit(3)


async def leave_later() -> None:
    await asyncio.sleep(0.02)  # after its caller waits
    sys.exit(3)


async def interrupt_later() -> None:
    await asyncio.sleep(0.02)  # after its caller waits
    raise KeyboardInterrupt


async def in_a_gathered_child() -> None:
    await asyncio.gather(leave_later())


async def in_a_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(leave_later())
        group.create_task(asyncio.sleep(30))  # is to be cancelled


async def interrupted_in_a_child() -> None:
    await asyncio.gather(interrupt_later())


async def in_the_handler() -> None:
    leave()


async def in_a_late_task() -> None:
    _kept.append(asyncio.create_task(leave_later()))


async def in_a_late_interrupt() -> None:
    _kept.append(asyncio.create_task(interrupt_later()))


async def in_a_timer() -> None:
    asyncio.get_running_loop().call_later(0.02, leave)


async def in_a_callback() -> None:
    asyncio.get_running_loop().call_soon(leave)


async def in_a_done_callback() -> None:
    task = asyncio.create_task(asyncio.sleep(0.02))  # ends while the handler runs
    task.add_done_callback(lambda _: leave())
    _kept.append(task)


async def from_a_thread() -> None:
    loop = asyncio.get_running_loop()
    await asyncio.to_thread(loop.call_soon_threadsafe, leave)


async def by_an_exception_of_its_own() -> None:
    def throw() -> None:
        raise OwnExit

    asyncio.get_running_loop().call_soon(throw)
    raise OwnExit("mine")


class Nameless(type):
    """A metaclass that leaves when somebody asks for the name of its classes."""

    @property
    def __name__(cls) -> str:  # type: ignore[override]
        sys.exit(3)


class NamelessError(Exception, metaclass=Nameless):
    pass


class Untouchable:
    def __getattribute__(self, name: str) -> Any:
        sys.exit(3)


class Classless(Exception):
    """Leaves when somebody asks what it is, as ``isinstance`` does."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        sys.exit(3)


class UntouchableError(Exception):
    def __getattribute__(self, name: str) -> Any:
        sys.exit(3)


async def by_an_error_without_a_class() -> None:
    raise Classless("mine")


async def by_an_error_that_cannot_be_read() -> None:
    raise UntouchableError("mine")


async def by_an_error_without_a_name() -> None:
    raise NamelessError("mine")


async def by_a_result_that_cannot_be_read() -> Any:
    return Untouchable()


async def by_cancelling_all_tasks() -> None:
    for task in asyncio.all_tasks():
        task.cancel()
    await asyncio.sleep(0)


async def by_stopping_the_loop() -> None:
    asyncio.get_running_loop().stop()


def refuse_tasks(*_: Any, **__: Any) -> Any:
    raise RuntimeError("no tasks")


async def by_a_task_factory_that_raises() -> None:
    asyncio.get_running_loop().set_task_factory(refuse_tasks)


async def by_ending_the_default_executor() -> None:
    await asyncio.get_running_loop().shutdown_default_executor()


async def by_a_default_executor_that_is_shut() -> None:
    with ThreadPoolExecutor(1) as threads:
        asyncio.get_running_loop().set_default_executor(threads)


FAILING = {
    in_a_gathered_child: ("SystemExit", "3"),
    in_a_group: ("SystemExit", "3"),
    interrupted_in_a_child: ("KeyboardInterrupt", "KeyboardInterrupt"),
    in_the_handler: ("SystemExit", "3"),
    by_an_exception_of_its_own: ("OwnExit", "mine"),
    by_an_error_without_a_name: ("NamelessError", "mine"),
    by_an_error_without_a_class: (
        "Classless",
        "it cannot be described: SystemExit was raised",
    ),
    by_an_error_that_cannot_be_read: (
        "UntouchableError",
        "it cannot be described: SystemExit was raised",
    ),
    by_a_result_that_cannot_be_read: (
        "TypeError",
        "the handler's result cannot be JSON: SystemExit was raised when it was read",
    ),
    by_cancelling_all_tasks: ("CancelledError", "the handler cancelled itself"),
}
COMPLETING = [
    in_a_late_task,
    in_a_late_interrupt,
    in_a_timer,
    in_a_callback,
    in_a_done_callback,
    from_a_thread,
    by_stopping_the_loop,
    by_a_task_factory_that_raises,
    by_ending_the_default_executor,
    by_a_default_executor_that_is_shut,
]
_kept: list[asyncio.Task[None]] = []
_plans = {plan.__name__: plan for plan in (*FAILING, *COMPLETING)}


@handler("leaves", max_attempts=1)
async def leaves(payload: str) -> Any:
    return await _plans[payload]()


@handler("neighbour")
async def neighbour(payload: None, context: JobContext) -> int:
    for step in range(5):
        await asyncio.sleep(0.05)
        await context.progress(step)
    return context.epoch


@pytest.fixture(autouse=True)
def handled_interrupts() -> Iterator[None]:
    """A worker takes SIGINT over, so that a KeyboardInterrupt can only be user code's."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    yield
    signal.signal(signal.SIGINT, before)
    for task in _kept:  # taken note of, so that asyncio does not report it as forgotten
        if task.done() and not task.cancelled():
            task.exception()
    _kept.clear()


def in_a_workshop(folder: Path, loop: str, scenario: Callable[[Workshop], Awaitable[None]]) -> None:
    async def run() -> None:
        clock = SteeredClock()
        settings = Settings(backend="embedded", data_dir=folder)
        backend = await open_embedded(settings, clock=clock)
        workshop = Workshop(backend, clock)
        try:
            await scenario(workshop)
        finally:
            await workshop.close()
            await backend.close()

    run_through(run(), loop_factory=LOOPS[loop])


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("plan", _plans)
def test_an_exit_of_user_code_ends_neither_worker_nor_neighbour(
    tmp_path: Path, loop: str, plan: str
) -> None:
    async def scenario(workshop: Workshop) -> None:
        running = workshop.start_worker(leaves, neighbour)
        beside = await workshop.submit("neighbour")
        head = await workshop.run("leaves", plan)
        expected = FAILING.get(_plans[plan])
        if expected is None:
            assert head.after.state is State.COMPLETED
        else:
            error: dict[str, Any] = head.data["error"]
            assert (error["type"], error["message"]) == expected
        head = await workshop.until_ended(beside)
        assert (head.status, head.after.epoch) == ("Completed", 1)
        assert (await workshop.run("neighbour")).status == "Completed"
        await running.stop()

    in_a_workshop(tmp_path, loop, scenario)


@pytest.mark.parametrize("loop", LOOPS)
def test_what_the_work_itself_raises_is_raised(loop: str) -> None:
    async def work() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        run_through(work(), loop_factory=LOOPS[loop])


@pytest.mark.parametrize("loop", LOOPS)
def test_a_loop_that_cannot_be_entered_again_is_given_up(
    loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ignored: list[BaseException] = []
    monkeypatch.setattr("jobfleet_worker.run.user_code_loop._ignore", ignored.append)

    def refuse(_: Any) -> None:
        raise OSError("no entry")

    async def work() -> None:
        running: Any = asyncio.get_running_loop()
        running.run_until_complete = refuse  # from the next entry on
        running.stop()
        await asyncio.sleep(3600)

    with pytest.raises(LoopLost, match="OSError: no entry"):
        run_through(work(), loop_factory=LOOPS[loop])
    assert len(ignored) == 1  # the stop


@pytest.mark.parametrize("loop", LOOPS)
def test_a_task_that_heeds_no_cancellation_does_not_hold_up_the_end(loop: str) -> None:
    async def deaf() -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                continue

    async def work() -> str:
        _kept.append(asyncio.create_task(deaf()))
        await asyncio.sleep(0)
        return "done"

    assert run_through(work(), loop_factory=LOOPS[loop]) == "done"


@pytest.mark.parametrize("loop", LOOPS)
def test_ctrl_c_ends_work_where_nobody_handles_it(loop: str) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    cancelled = []

    async def work() -> None:
        signal.raise_signal(signal.SIGINT)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    with pytest.raises(KeyboardInterrupt):
        run_through(work(), loop_factory=LOOPS[loop])
