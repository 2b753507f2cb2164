"""What handlers log is kept with their attempts, and fails nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_contracts.log_line import MAX_LOG_BYTES, LogLine
from jobfleet_contracts.state import State
from jobfleet_worker.run.attempt_log import CUT
from tests.polling import eventually
from tests.protocol.steered_clock import SteeredClock
from tests.worker import log_handlers
from tests.worker.workshop import Workshop

SECRET = "correct-horse-battery"
WHOLE = 10_000_000


async def lines_of(workshop: Workshop, job_id: str) -> list[LogLine]:
    """All lines of a job, the oldest epoch first."""
    found = []
    for log in await workshop.real.logs.sizes(job_id):
        body = await workshop.real.logs.read(job_id, log.epoch, limit=WHOLE)
        found += [LogLine.decode(line) for line in body.splitlines()]
    return found


async def messages_of(workshop: Workshop, job_id: str) -> list[str]:
    return [line.message for line in await lines_of(workshop, job_id)]


async def stored(workshop: Workshop, job_id: str, message: str) -> list[str]:
    """Wait for a message; returns all."""

    async def found() -> list[str]:
        messages = await messages_of(workshop, job_id)
        return messages if message in messages else []

    return await eventually(f"{message!r} is stored", found)


async def asked(workshop: Workshop, *, times: int) -> None:
    """Wait until storage was asked so often to append lines."""

    async def found() -> bool:
        return workshop.logs.calls["append"] >= times

    await eventually(f"{times} appends", found)


@pytest.mark.parametrize(
    ("function", "more"),
    [
        (log_handlers.coroutine, ["from a thread", "from a task"]),
        (log_handlers.thread, []),
        (log_handlers.process, ["from a thread"]),
    ],
    ids=["coroutine", "thread", "process"],
)
async def test_what_any_handler_logs_is_kept_and_masked(
    workshop: Workshop, function: Callable[..., Any], more: list[str]
) -> None:
    workshop.start_worker(function, processes=1)
    job_type = f"log.{function.__name__}"
    for _ in range(2):  # the second process is warm
        head = await workshop.run(job_type, SECRET)
        assert head.after.state is State.COMPLETED
        last = more[-1] if more else "given up"
        await stored(workshop, head.job_id, last)
        lines = await lines_of(workshop, head.job_id)
        messages = [line.message for line in lines]
        own = ["mail 1 of 2", "nobody else hears this", "row read", "row read", "given up"]
        assert messages == own + more
        mail, alone, odd, row, error, *_ = lines
        assert (mail.level, mail.logger, mail.fields) == ("info", "shop.mail", {"customer": 7})
        assert (alone.level, alone.logger) == ("warning", "shop.alone")
        hidden = {"password": "***", "odd": "<Unspeakable without text>"}
        assert odd.fields == {"row": 3} | hidden
        assert row.fields == {"row": 4, "place": "/data"}
        assert error.level == "error"
        assert error.exception.endswith("ValueError: no such customer\n")
        assert error.fields["url"] == "https://***@example.org/"
        assert {line.attempt for line in lines} == {1}
        [log] = await workshop.real.logs.sizes(head.job_id)
        body = await workshop.real.logs.read(head.job_id, log.epoch, limit=WHOLE)
        assert SECRET.encode() not in body


async def test_a_job_that_logs_nothing_writes_nothing(workshop: Workshop) -> None:
    workshop.start_worker(log_handlers.nothing)
    await workshop.run("log.nothing")
    assert workshop.logs.calls == {}


async def test_lines_are_seen_while_the_handler_runs(workshop: Workshop, tmp_path: Path) -> None:
    workshop.start_worker(log_handlers.waits)
    go_on = tmp_path / "go on"
    job_id = await workshop.submit("log.waits", str(go_on))
    await stored(workshop, job_id, f"waiting for {go_on}")
    go_on.touch()
    await workshop.until_ended(job_id)
    assert await stored(workshop, job_id, "waited") == [f"waiting for {go_on}", "waited"]


async def test_each_attempt_has_its_lines(workshop: Workshop) -> None:
    workshop.start_worker(log_handlers.fails)
    head = await workshop.run("log.fails", max_attempts=2)
    assert head.after.state is State.FAILED

    async def both() -> list[int]:
        found = [line.attempt for line in await lines_of(workshop, head.job_id)]
        return found if len(found) == 2 else []

    assert await eventually("both attempts have lines", both) == [1, 2]


async def test_a_long_log_is_cut_and_says_so(workshop: Workshop) -> None:
    workshop.start_worker(log_handlers.much)
    head = await workshop.run("log.much", {"lines": 3000, "size": 900})
    messages = await stored(workshop, head.job_id, CUT)
    assert messages[-1] == CUT
    numbers = [int(message[:6]) for message in messages[:-1]]
    assert numbers == list(range(len(numbers)))
    [log] = await workshop.real.logs.sizes(head.job_id)
    assert 0.9 * MAX_LOG_BYTES < log.size <= MAX_LOG_BYTES
    assert workshop.logs.calls["append"] < len(numbers) / 2


async def test_lines_of_a_handler_that_was_left_behind_are_not_kept(
    workshop: Workshop, tmp_path: Path
) -> None:
    workshop.start_worker(log_handlers.goes_on)
    file = tmp_path / "go on"
    job_id = await workshop.submit("log.goes_on", str(file), max_attempts=1)
    assert (await workshop.until_ended(job_id)).status == "TimedOut"
    assert await stored(workshop, job_id, "once") == ["once"]
    file.touch()

    async def ended() -> bool:
        return not file.exists()

    await eventually("the handler has ended", ended)
    assert await messages_of(workshop, job_id) == ["once"]


@pytest.mark.parametrize("fault", ["lose_request", "lose_reply"])
async def test_an_unclear_append_loses_and_doubles_nothing(
    workshop: Workshop, tmp_path: Path, fault: str
) -> None:
    workshop.start_worker(log_handlers.waits)
    getattr(workshop.logs, fault)("append", times=2)
    go_on = tmp_path / "go on"
    job_id = await workshop.submit("log.waits", str(go_on))
    await stored(workshop, job_id, f"waiting for {go_on}")
    getattr(workshop.logs, fault)("append")
    go_on.touch()
    await workshop.until_ended(job_id)
    assert await stored(workshop, job_id, "waited") == [f"waiting for {go_on}", "waited"]


@pytest.mark.parametrize("error", [BackendUnavailable("away"), OSError(28, "disk full")])
async def test_a_storage_that_takes_no_lines_fails_no_job(
    workshop: Workshop, error: Exception
) -> None:
    workshop.logs.lose_request("append", times=1000, error=error)
    running = workshop.start_worker(log_handlers.fails, log_handlers.nothing, concurrency=1)
    head = await workshop.run("log.fails", max_attempts=1)
    assert head.after.state is State.FAILED
    await workshop.run("log.nothing")  # its slot is free again
    await running.stop()
    assert await lines_of(workshop, head.job_id) == []


async def test_an_ending_is_written_while_the_last_lines_still_wait(workshop: Workshop) -> None:
    answered = asyncio.Event()
    workshop.logs.before("append", answered.wait)
    workshop.start_worker(log_handlers.fails)
    head = await workshop.run("log.fails", max_attempts=1)
    assert head.after.state is State.FAILED
    assert await lines_of(workshop, head.job_id) == []
    answered.set()


async def test_a_log_is_not_begun_once_the_lease_is_relied_on_no_more(
    workshop: Workshop, clock: SteeredClock, tmp_path: Path
) -> None:
    """As by a worker that slept: the job may have ended, and its log may have been removed."""
    workshop.logs.lose_request("append", times=1000)
    workshop.start_worker(log_handlers.waits, renew_seconds=3600)
    go_on = tmp_path / "go on"
    job_id = await workshop.submit("log.waits", str(go_on))
    await asked(workshop, times=1)
    clock.advance(100)
    workshop.logs.heal()
    go_on.touch()
    await workshop.until_ended(job_id)
    assert 1 not in [log.epoch for log in await workshop.real.logs.sizes(job_id)]


async def test_a_removed_log_is_not_begun_again(workshop: Workshop, tmp_path: Path) -> None:
    workshop.start_worker(log_handlers.waits)
    go_on = tmp_path / "go on"
    job_id = await workshop.submit("log.waits", str(go_on))
    await stored(workshop, job_id, f"waiting for {go_on}")
    await workshop.real.logs.remove(job_id)
    go_on.touch()
    await workshop.until_ended(job_id)
    await asked(workshop, times=2)
    assert await lines_of(workshop, job_id) == []


async def test_it_can_be_switched_off(workshop: Workshop) -> None:
    workshop.start_worker(log_handlers.thread, job_logs=False)
    head = await workshop.run("log.thread", SECRET)
    assert head.after.state is State.COMPLETED
    assert workshop.logs.calls == {}
