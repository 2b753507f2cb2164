"""Schedules that a handler module declares are checked at the start, with the place and remedy."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jobfleet_worker import Schedule, handler, schedule
from jobfleet_worker.handlers.declaration import DeclarationError
from jobfleet_worker.handlers.registry import HandlerImportError, Handlers

Load = Callable[[str], Handlers]
_numbers = itertools.count(1)
HEAD = """
from datetime import timedelta
from pydantic import BaseModel
from jobfleet_worker import Schedule, handler, schedule

class Report(BaseModel):
    kind: str
"""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load handlers from the text of a module, as a worker's start does."""
    monkeypatch.syspath_prepend(tmp_path)

    def loaded(source: str) -> Handlers:
        name = f"scheduled_{next(_numbers)}"
        (tmp_path / f"{name}.py").write_text(HEAD + source)
        return Handlers.load([name])

    return loaded


def only(handlers: Handlers) -> Schedule:
    (found,) = handlers.schedules
    return found


@pytest.mark.parametrize("above", [True, False])
def test_a_mark_stands_above_or_below_the_handlers(load: Load, above: bool) -> None:
    marks = [
        '@schedule("0 6 * * *", timezone="Europe/Berlin", payload={"kind": "daily"}, priority=7)',
        '@handler("report.daily")',
    ]
    source = "\n".join(marks if above else marks[::-1])
    found = only(load(f"{source}\nasync def daily(payload: Report) -> None: ..."))
    assert found.name == "report.daily"
    assert found.to_json() == {
        "type": "report.daily",
        "cron": "0 6 * * *",
        "timezone": "Europe/Berlin",
        "payload": {"kind": "daily"},
        "priority": 7,
    }


@pytest.mark.parametrize("above", [True, False])
@pytest.mark.parametrize(("option", "queue"), [("", "mail"), (', queue="night"', "night")])
def test_jobs_of_a_mark_go_to_the_queue_of_their_handler(
    load: Load, above: bool, option: str, queue: str
) -> None:
    marks = [f'@schedule("0 6 * * *"{option})', '@handler("report.daily", queue="mail")']
    source = "\n".join(marks if above else marks[::-1])
    found = only(load(f"{source}\nasync def daily() -> None: ..."))
    assert found.job["queue"] == queue


def test_of_two_types_the_queue_of_the_chosen_one_counts(load: Load) -> None:
    found = only(
        load(
            '@schedule("0 6 * * *", type="b")\n'
            '@handler("a", queue="first")\n'
            '@handler("b", queue="second")\n'
            "async def work() -> None: ..."
        )
    )
    assert found.job["queue"] == "second"


def test_a_list_in_the_module_is_read_too(load: Load) -> None:
    found = load(
        'schedules = [Schedule(name="a", type="elsewhere", every=timedelta(seconds=30)),\n'
        '             Schedule(name="b", type="elsewhere", cron="*/5 * * * *", queue="mail")]'
    )
    assert [each.name for each in found.schedules] == ["a", "b"]
    assert [each.when for each in found.schedules] == ["every 30 s", "*/5 * * * * UTC"]


def test_what_is_said_as_its_default_is_the_same_declaration() -> None:
    plain = schedule("0 6 * * *")(handler("x")(lambda: None))
    spelt = schedule("0 6 * * *", timezone="UTC", overlap="skip", catch_up="last")(
        handler("x")(lambda: None)
    )
    assert only(Handlers.of(plain)).digest() == only(Handlers.of(spelt)).digest()


def test_the_same_schedule_seen_through_two_modules_is_one(load: Load) -> None:
    @schedule(every=timedelta(seconds=5))
    @handler("x")
    def twice() -> None: ...

    assert len(Handlers.of(twice, twice).schedules) == 1


WRONG: dict[str, list[Any]] = {
    "cron": ["", "x", "0 6 * *", "61 * * * *", "0 0 30 2 *", 5, b"0 6 * * *"],
    "every": [timedelta(0), timedelta(seconds=0.5), timedelta(days=400), 5, "30"],
    "name": ["", "a b", "x" * 101, "a/b", 7],
    "timezone": ["Mars/Base", "", 5],
    "start": ["tomorrow", 5],
    "payload": [{1, 2}, float("nan"), "x" * 15_001, object()],
    "overlap": ["wait", "", 1],
    "catch_up": ["some", True],
    "jitter": [5, timedelta(days=2), timedelta(seconds=-1)],
    "priority": [10, "high"],
    "job_id": ["0197f0c2-6d5e-7c3a-9f58-2b1d3e4f5a6b"],
    "idempotency_key": ["k"],
    "crom": ["0 6 * * *"],
}


@pytest.mark.parametrize(
    ("option", "value"), [(option, value) for option, values in WRONG.items() for value in values]
)
def test_a_wrong_option_is_refused_where_it_is_declared(option: str, value: Any) -> None:
    times = {} if option in ("cron", "every") else {"cron": "0 6 * * *"}

    def plain() -> None: ...

    with pytest.raises(DeclarationError) as refused:
        schedule(**times | {option: value})(plain)
    message = str(refused.value)
    assert message.startswith(f"{__name__}.")
    assert "@schedule(" in message
    assert option in message or option.replace("_i", "I").replace("_k", "K") in message


def test_every_option_has_wrong_values_here() -> None:
    assert set(inspect.signature(schedule).parameters) - {"job"} <= set(WRONG)


MISTAKES = {
    "no times at all": ("@schedule\n@handler('x')\ndef f(): ...", 'Write @schedule("0 6'),
    "both times": (
        "@schedule('0 6 * * *', every=timedelta(seconds=5))\n@handler('x')\ndef f(): ...",
        "either cron or every",
    ),
    "no handler": ("@schedule('0 6 * * *')\ndef f(): ...", "the function is not a handler"),
    "several types": (
        "@schedule('0 6 * * *')\n@handler('x')\n@handler('y')\ndef f(): ...",
        "Say which one: type=",
    ),
    "another's type": (
        "@schedule('0 6 * * *', type='z')\n@handler('x')\ndef f(): ...",
        "is not handled by this function",
    ),
    "hidden": (
        "def g():\n    @schedule('0 6 * * *')\n    def f(): ...\ng()\n@handler('x')\ndef h(): ...",
        "has no effect",
    ),
    "a dict": ("schedules = {}\n@handler('x')\ndef f(): ...", "Write a list"),
    "another thing in the list": (
        "schedules = ['0 6 * * *']\n@handler('x')\ndef f(): ...",
        "item 1 of schedules is a str, not a Schedule",
    ),
    "two contents": (
        "schedules = [Schedule(name='a', type='x', cron='0 6 * * *'),"
        " Schedule(name='a', type='x', cron='0 7 * * *')]",
        "declared twice with different contents",
    ),
    "a wrong item": (
        "schedules = [Schedule(name='a', type='x', cron='0 6 * * *', catch_up='some')]",
        "(line 8): catch_up",
    ),
    "no payload where one is needed": (
        "@schedule('0 6 * * *')\n@handler('x')\ndef f(payload: Report): ...",
        "refuses its payload: payload",
    ),
    "a payload that does not fit": (
        "@schedule('0 6 * * *', payload={'kind': 5})\n@handler('x')\ndef f(payload: Report): ...",
        "refuses its payload: payload.kind",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_module_that_declares_wrongly_does_not_start(load: Load, mistake: str) -> None:
    source, expected = MISTAKES[mistake]
    with pytest.raises(HandlerImportError) as refused:
        load(source)
    assert expected in str(refused.value)
    assert "Traceback" not in str(refused.value)


def test_other_things_called_schedules_are_left_alone(load: Load) -> None:
    found = load("def schedules(): ...\n@handler('x')\ndef f(): ...")
    assert found.schedules == ()
