"""What user code returns, raises or says may be huge: only a bounded part of it is ever copied."""

from __future__ import annotations

import itertools
import logging
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.outcome import AttemptFailed
from jobfleet_worker import BlockingJobContext, JobContext, handler
from jobfleet_worker.handlers import outcome_turns
from jobfleet_worker.handlers.described_error import describe_error
from jobfleet_worker.handlers.log_capture import captured
from jobfleet_worker.handlers.outcome_turns import AT_ONCE, outcome_turn
from jobfleet_worker.handlers.outcomes import is_described_at_once
from jobfleet_worker.handlers.result_json import JsonCopy, ResultTooLarge, is_plain, result_json
from jobfleet_worker.testing import run_handler
from tests.polling import eventually
from tests.worker import process_handlers

HUGE = 30_000_000
ONCE = HUGE // 2
"""Less than one copy of a huge text, and far more than what is kept of one."""


class Model(BaseModel):
    items: list[int] = []
    text: str = ""


class _OwnText(Exception):
    text = "x" * HUGE

    def __str__(self) -> str:
        return self.text


def _noted() -> Exception:
    error = ValueError("noted")
    error.add_note("n" * HUGE)
    return error


def _caused() -> Exception:
    error = ValueError("the effect")
    error.__cause__ = ValueError("x" * HUGE)
    return error


ERRORS: dict[str, Callable[[], Exception]] = {
    "a text": lambda: ValueError("x" * HUGE),
    "a key": lambda: KeyError("x" * HUGE),
    "bytes": lambda: ValueError(b"x" * HUGE),
    "two arguments": lambda: ValueError("x" * HUGE, 1),
    "a list": lambda: ValueError(["x" * 100] * (HUGE // 100)),
    "an object": lambda: ValueError(dict.fromkeys(range(HUGE // 100), "x")),
    "a set": lambda: ValueError(set(range(HUGE // 100))),
    "a text of its own": _OwnText,
    "a note": _noted,
    "a cause": _caused,
    "a group": lambda: ExceptionGroup("several", [ValueError("x" * HUGE), KeyError("x" * HUGE)]),
    "a group's own text": lambda: ExceptionGroup("x" * HUGE, [ValueError("one")]),
}


@pytest.mark.parametrize("kind", ERRORS)
def test_no_text_of_an_error_is_copied_before_it_is_cut(kind: str) -> None:
    error = ERRORS[kind]()
    tracemalloc.start()
    try:
        described = describe_error(error)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(described.message) < 10_000
    assert len(described.traceback) < 10_000
    assert type(error).__name__ in described.traceback
    assert peak < ONCE


def test_a_traceback_tells_of_causes_and_of_each_error_of_a_group() -> None:
    def fail() -> None:
        try:
            raise KeyError("the cause")
        except KeyError as cause:
            raise ExceptionGroup("both", [ValueError("one"), OSError("two")]) from cause

    with pytest.raises(ExceptionGroup) as raised:
        fail()
    raised.value.add_note("a note")
    traceback = describe_error(raised.value).traceback
    parts = ("KeyError: 'the cause'", "direct cause", "ExceptionGroup: both", "a note")
    places = [traceback.index(each) for each in (*parts, "ValueError: one", "OSError: two")]
    assert places == sorted(places)
    assert traceback.count("Traceback (most recent call last)") == 2
    assert "in fail" in traceback


def test_very_many_causes_frames_and_errors_of_a_group_are_cut() -> None:
    def deep(levels: int) -> None:
        if levels:
            deeper(levels)
        raise ValueError("deep down")

    def deeper(levels: int) -> None:
        deep(levels - 1)

    with pytest.raises(ValueError, match="deep down") as raised:
        deep(150)
    error: Exception = ExceptionGroup("many", [raised.value] * 5_000)
    for number in range(1_000):
        outer = ValueError(f"link {number}")
        outer.__cause__ = error
        error = outer
    described = describe_error(error)
    assert "link 999" in described.traceback
    assert "earlier errors cut" in described.traceback
    assert "frames cut" in describe_error(raised.value).traceback or "cut" in described.traceback


class _Counted:
    """An endless iterator that counts how far it was read."""

    def __init__(self) -> None:
        self.read = 0

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.read += 1
        return self.read


@pytest.mark.parametrize(
    "wrap", [lambda each: each, lambda each: [each], lambda each: {"a": (1, each)}]
)
def test_making_json_stops_at_the_limit(wrap: Callable[[Any], Any]) -> None:
    endless = _Counted()
    copy = JsonCopy(most_bytes=10**9, most_values=1_000)
    with pytest.raises(ResultTooLarge, match="more than 1,000 values"):
        copy.of(wrap(endless))
    assert endless.read <= 1_001
    assert copy.seen <= 1_001


LARGE: dict[str, Callable[[], Any]] = {
    "a text": lambda: "x" * 2_000,
    "many texts": lambda: ["x" * 10] * 200,
    "names": lambda: {f"{each:010}": 0 for each in range(200)},
    "many values": lambda: list(range(200)),
    "lists of lists": lambda: [[0] * 10] * 20,
    "a model": lambda: Model(items=list(range(200))),
    "a model's text": lambda: Model(text="x" * 2_000),
    "many models": lambda: [Model()] * 200,
    "an iterator": lambda: map(str, itertools.count()),
    "a tuple": lambda: tuple(range(200)),
}


@pytest.mark.parametrize("kind", LARGE)
def test_a_value_beyond_the_limits_is_refused_before_it_is_copied(kind: str) -> None:
    copy = JsonCopy(most_bytes=1_000, most_values=150)
    with pytest.raises(ResultTooLarge):
        copy.of(LARGE[kind]())
    assert copy.seen <= 151


def test_a_text_that_only_its_json_makes_too_large_is_refused() -> None:
    with pytest.raises(ResultTooLarge, match="16,777,216 bytes as JSON"):
        result_json("\x01" * 4_000_000)


def test_a_large_text_is_not_plain_so_that_no_loop_copies_it() -> None:
    assert is_plain("x" * 1_000)
    assert not is_plain("x" * 200_000)
    assert not is_plain([{"a": "x" * 150_000}])
    assert not is_plain({"x" * 150_000: 1})
    assert not is_described_at_once(ValueError("x" * 200_000))


@handler("large.loop")
async def on_loop(payload: int) -> str:
    return "x" * payload


@handler("large.thread")
def in_thread(payload: int) -> str:
    return "x" * payload


@pytest.mark.parametrize("function", [on_loop, in_thread, process_handlers.large])
async def test_a_result_that_is_too_large_fails_its_job_at_once_and_says_what_to_do(
    function: Callable[..., Any],
) -> None:
    run = await run_handler(function, 17_000_000)
    assert isinstance(run.outcome, AttemptFailed)
    assert run.outcome.final
    assert run.outcome.error.type == "ResultTooLarge"
    assert "more than 16,777,216 bytes" in run.outcome.error.message
    assert "keep its address" in run.outcome.error.message


@handler("large.checkpoint")
async def keeps(payload: int, context: JobContext) -> int:
    with pytest.raises(InvalidRequest, match="16,777,216 bytes"):
        await context.checkpoint("x" * 17_000_000)
    with pytest.raises(InvalidRequest, match="1,000,000 values"):
        await context.checkpoint([0] * 1_000_001)
    await context.checkpoint(["x" * 1_000] * payload)
    return payload


@handler("large.blocking-checkpoint")
def keeps_in_thread(payload: int, context: BlockingJobContext) -> int:
    with pytest.raises(InvalidRequest, match="1,000,000 values"):
        context.checkpoint([0] * 1_000_001)
    context.checkpoint(["x" * 1_000] * payload)
    return payload


@pytest.mark.parametrize("function", [keeps, keeps_in_thread])
async def test_a_checkpoint_is_kept_up_to_the_limit_and_refused_beyond_it(
    function: Callable[..., Any],
) -> None:
    run = await run_handler(function, 2_000)
    assert run.result == 2_000
    assert run.checkpoints == [["x" * 1_000] * 2_000]


@handler("large.progress")
async def tells(payload: int, context: JobContext) -> None:
    await context.progress(1, message="x" * payload)


async def test_a_huge_message_of_a_step_is_cut_where_the_handler_runs() -> None:
    run = await run_handler(tells, HUGE)
    (step,) = run.steps
    assert len(step.message) < 10_000


@pytest.mark.parametrize(
    "value", ["x" * HUGE, ["x" * 100] * (HUGE // 100), {"event": "x" * HUGE}, b"x" * HUGE]
)
def test_a_log_line_is_cut_before_it_is_copied(value: Any) -> None:
    lines: list[bytes] = []

    def keep(line: bytes) -> bool:
        lines.append(line)
        return True

    record = logging.makeLogRecord(
        {"name": "large", "msg": "said", "levelno": 20, "levelname": "INFO", "more": value}
    )
    with captured(keep, 1):
        tracemalloc.start()
        try:
            logging.getLogger("large").callHandlers(record)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert len(lines) == 1
    assert len(lines[0]) < 70_000
    assert peak < ONCE


async def test_no_more_than_two_large_values_are_worked_on_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outcome_turns, "LONGEST_WAIT_SECONDS", 60.0)
    go_on = threading.Event()
    entered: list[int] = []

    async def two_have_a_turn() -> bool:
        return len(entered) == AT_ONCE

    def work() -> None:
        with outcome_turn():
            entered.append(1)
            go_on.wait(30)

    threads = [threading.Thread(target=work) for _ in range(AT_ONCE + 3)]
    try:
        for each in threads:
            each.start()
        await eventually("two have a turn", two_have_a_turn)
    finally:
        go_on.set()
        for each in threads:
            each.join(30)
    assert len(entered) == len(threads)


def test_code_that_hangs_in_its_turn_holds_up_no_other_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outcome_turns, "LONGEST_WAIT_SECONDS", 0.01)
    with outcome_turn(), outcome_turn(), outcome_turn():
        pass
    with outcome_turn(), outcome_turn():
        assert not outcome_turns._turns.acquire(blocking=False)
