"""How many limits and schedules there may be: every way to make one refuses a name too many."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

import jobfleet_cli
import jobfleet_dashboard
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.schedule import Schedule
from jobfleet_protocol.control.limits import Limits
from jobfleet_protocol.control.most_names import MOST_NAMES
from jobfleet_protocol.control.schedules import Schedules
from tests.protocol.bench import Bench


def _schedule(name: str, seconds: int = 60) -> Schedule:
    return Schedule(name=name, type="x", every=timedelta(seconds=seconds))


async def test_a_limit_too_many_is_refused_until_one_is_removed(bench: Bench) -> None:
    limits = Limits(
        log=bench.real.control_log, control=bench.real.control, clock=bench.clock, most=2
    )
    for name in ("a", "b"):
        await limits.set(name, slots=1, rate=None, by="ops")
    with pytest.raises(InvalidRequest, match="at most 2 are allowed") as refused:
        await limits.set("c", slots=1, rate=None, by="ops")
    assert refused.value.field == "name"
    await limits.set("a", slots=2, rate=None, by="ops")
    await limits.remove("b", by="ops")
    await limits.set("c", slots=1, rate=None, by="ops")
    assert {name for name, each in (await limits.read()).items() if not each.removed} == {"a", "c"}


async def test_a_schedule_too_many_is_refused_until_one_is_removed(bench: Bench) -> None:
    schedules = Schedules(
        log=bench.real.control_log,
        trail=bench.trail,
        submitter=bench.submitter,
        clock=bench.clock,
        most=2,
    )
    await schedules.declare_all_by_code([_schedule(name) for name in "abc"], live={})
    assert [head.name for head in await schedules.all()] == ["a", "b"]
    with pytest.raises(InvalidRequest, match="at most 2 are allowed") as refused:
        await schedules.declare(_schedule("c"), by="ops")
    assert refused.value.field == "name"
    await schedules.declare(_schedule("a", 120), by="ops")
    await schedules.remove("b", by="ops")
    await schedules.declare(_schedule("c"), by="ops")
    assert [head.name for head in await schedules.all()] == ["a", "c"]


def test_services_are_bounded_unless_they_ask_for_more() -> None:
    import inspect

    for kind in (Limits, Schedules):
        assert inspect.signature(kind).parameters["most"].default == MOST_NAMES
    folders = (Path(jobfleet_cli.__file__), Path(jobfleet_dashboard.__file__))
    made = [path for folder in folders for path in folder.parent.rglob("*.py")]
    assert not [path for path in made if "most=None" in path.read_text()]
