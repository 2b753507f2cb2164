"""Small handlers that showed a fault once; what is right stands in ``test_cases_handlers.py``."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from jobfleet_worker import Defer, Fail, Retry, handler

if TYPE_CHECKING:
    from jobfleet_worker import BlockingJobContext, JobContext


class StrictOrder(BaseModel):
    model_config = ConfigDict(strict=True)
    day: date


@handler("case.strict")
def strict(payload: StrictOrder) -> str:
    return payload.day.isoformat()


def raised(what: str) -> BaseException:
    """Return what the payload names; ``a+b`` is a group, ``[a]`` one level deeper."""
    if what.startswith("["):
        return BaseExceptionGroup("inner", [raised(what[1:-1])])
    if "+" in what:
        return BaseExceptionGroup("outer", [raised(each) for each in what.split("+")])
    made: dict[str, BaseException] = {
        "fail": Fail("stolen", details={"code": 4}),
        "retry": Retry("later", after=0.01),
        "retry-late": Retry("much later", after=3600),
        "defer": Defer(5, "not now"),
        "defer-late": Defer(3600, "not today"),
        "reset": ConnectionResetError("by peer"),
        "bug": KeyError("a bug"),
        "exit": SystemExit(3),
    }
    return made[what]


@handler("case.group", retry_on=(OSError,))
async def group_on_loop(payload: str) -> None:
    async def child(what: str) -> None:
        raise raised(what)

    async with asyncio.TaskGroup() as group:
        for each in payload.split("+"):
            group.create_task(child(each))


@handler("case.group-in-thread", retry_on=(OSError,))
def group_in_thread(payload: str) -> None:
    raise BaseExceptionGroup("outer", [raised(each) for each in payload.split("+")])


@handler("case.group-in-process", run_in="process", retry_on=(OSError,))
def group_in_process(payload: str) -> None:
    raise BaseExceptionGroup("outer", [raised(each) for each in payload.split("+")])


@handler("case.defer-at-once")
def defer_at_once(payload: Any = None) -> None:
    raise Defer(0, "again")


def _forty(context: BlockingJobContext) -> int:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: context.progress(n, of=40), range(40)))
        list(threads.map(context.checkpoint, range(8)))
    return 40


@handler("case.progress-from-threads", run_in="process")
def progress_in_process(payload: Any, context: BlockingJobContext) -> int:
    return _forty(context)


@handler("case.progress-from-threads-of-a-thread")
def progress_in_thread(payload: Any, context: BlockingJobContext) -> int:
    return _forty(context)


@handler("case.progress-from-threads-of-a-coroutine")
async def progress_on_loop(payload: Any, context: JobContext) -> int:
    def tell(number: int) -> None:
        asyncio.run(context.progress(number, 40))
        asyncio.run(context.checkpoint(number))

    await asyncio.gather(*(asyncio.to_thread(tell, number) for number in range(40)))
    return 40


@handler("case.large-error")
def large_error(payload: Any = None) -> None:
    raise ValueError("x" * 30_000_000)


@handler("case.large-error-in-process", run_in="process")
def large_error_in_process(payload: Any = None) -> None:
    raise ValueError("x" * 30_000_000)


@handler("case.over-its-limit", timeout=0.2)
def over_its_limit(payload: str) -> str:
    """Return after the limit, without having asked whether it is over."""
    until = time.monotonic() + 10
    while not Path(payload).exists() and time.monotonic() < until:
        time.sleep(0.01)
    return "too late"


@handler("case.over-its-limit-on-the-loop", timeout=0.2)
async def over_its_limit_on_the_loop(payload: str) -> str:
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError:
        return "too late"
    return "never"


@handler("case.over-its-limit-in-a-process", timeout=2, run_in="process")
def over_its_limit_in_a_process(payload: str) -> str:
    signal.signal(signal.SIGTERM, lambda *_: None)
    until = time.monotonic() + 2.5
    while time.monotonic() < until:
        time.sleep(0.05)
    return "too late"


class Hostile(Exception):
    def __str__(self) -> str:
        raise SystemExit(4)


class HostileFail(Fail):
    @property
    def details(self) -> Any:
        raise SystemExit(5)

    @details.setter
    def details(self, value: Any) -> None: ...


class HostileTruth(Exception):
    def __bool__(self) -> bool:
        raise KeyError("neither true nor false")


def _deep_group() -> BaseException:
    error: BaseException = Fail("far down")
    for _ in range(3000):
        error = BaseExceptionGroup("group", [error])
    return error


HOSTILE: dict[str, Callable[[], BaseException]] = {
    "text that leaves": Hostile,
    "details that leave": HostileFail,
    "truth that raises": HostileTruth,
    "a deep group": _deep_group,
    "a wide group": lambda: ExceptionGroup("group", [ValueError("y" * 10**5)] * 1000),
    "a long name": lambda: type("N" * 10**6, (Exception,), {})("named"),
    "stop": StopIteration,
    "async stop": StopAsyncIteration,
    "generator exit": GeneratorExit,
    "exit": lambda: SystemExit(3),
    "interrupt": KeyboardInterrupt,
    "half a character": lambda: ValueError("half \ud800"),
    "own notes": lambda: _noted(ValueError("noted"), 5),
}


def _noted(error: Exception, note: Any) -> Exception:
    error.__notes__ = [note]
    return error


@handler("case.hostile")
async def hostile_on_loop(payload: str) -> None:
    error = HOSTILE[payload]()
    raise error


@handler("case.hostile-in-thread")
def hostile_in_thread(payload: str) -> None:
    error = HOSTILE[payload]()
    raise error


@handler("case.hostile-in-process", run_in="process")
def hostile_in_process(payload: str) -> None:
    error = HOSTILE[payload]()
    raise error


class Colour(StrEnum):
    RED = "red"


class Size(IntEnum):
    LARGE = 3


@handler("case.enum", run_in="process")
def enum_in_process(payload: str) -> Any:
    return {"colour": Colour.RED, "size": Size.LARGE, "both": [Colour.RED, Size.LARGE]}[payload]
