"""A move of a run: an operator seals the fleet, copies it, and gives the move up again.

Given up, the fleet goes on, and the rest of the run shows that nothing was lost by it. The copy is
judged in the moment in which it is complete, against what everybody was told until then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING

from jobfleet_contracts.event import Event
from jobfleet_contracts.state import State
from jobfleet_protocol.audit.verification import Verifier
from jobfleet_protocol.control.seals import Seals
from jobfleet_protocol.moving.move_out import MoveOut
from jobfleet_protocol.trail.tombstone import is_tombstone, tombstone_under
from tests.simulation.scenario import Scenario
from tests.simulation.workload import Wish

if TYPE_CHECKING:
    from tests.simulation.client_calls import ClientCall
    from tests.simulation.fleet import Api
    from tests.simulation.servers import Servers

MOVE_VERB = "move"
LIFT_VERB = "lift"
MOVE_VERBS = frozenset({MOVE_VERB, LIFT_VERB})
_ON_JOBS = frozenset({"submit", "cancel", "redrive", "dismiss"})


def move_wishes(scenario: Scenario) -> list[Wish]:
    """Return the move of a run; nothing in a run without one."""
    if not scenario.moved:
        return []
    dice = Random(f"moves/{scenario.seed}")
    at = dice.uniform(0.2, 0.8) * scenario.fault_seconds
    lift = Wish(at=scenario.fault_seconds, verb=LIFT_VERB, tag="lift")
    return [Wish(at=at, verb=MOVE_VERB, tag="move"), lift]


async def lift_what_is_left(api: Api, tag: str) -> State:
    """Lift a seal that a try of the move set after another one was answered, and then died."""
    seals = Seals(log=api.backend.control_log, clock=api.process.clock)
    newest = await seals.newest()
    if newest is not None and newest.state["sealed"]:
        await seals.lift(by=tag, reason="left behind", move_id=str(newest.state["moveId"]))
    return State.QUEUED


async def act_on_move(
    api: Api, tag: str, servers: Servers, calls: Sequence[ClientCall], begun: set[tuple[str, int]]
) -> State:
    """Seal, copy, judge the copy, and lift the seal, as an operator's commands do."""
    seals = Seals(log=api.backend.control_log, clock=api.process.clock)
    move = MoveOut(
        source=api.backend.name,
        trail=api.backend.trail,
        payloads=api.backend.payloads,
        leases=api.backend.leases,
        locks=api.backend.locks,
        control_log=api.backend.control_log,
        rates=api.backend.rates,
        logs=api.backend.logs,
        transactions=api.backend.transactions,
        writer=api.writer,
        clock=api.process.clock,
        wait_seconds=1e9,
        on_wait=lambda _: None,
    )
    await move.seal(tag, by=tag, reason="")
    entry = await seals.newest()
    copy: dict[str, list[Event]] = {}
    async for item in move.items():
        if isinstance(item, Event):
            copy.setdefault(item.job_id, []).append(item)
    servers.move_faults += _faults(copy, servers, calls, begun)
    newest = await seals.newest()
    # Another try of this call may have lifted the seal while this one slept.
    if entry is not None and newest is not None and newest.entry_id == entry.entry_id:
        await seals.lift(by=tag, reason="given up", move_id=str(newest.state["moveId"]))
    return State.QUEUED


def _faults(
    copy: Mapping[str, list[Event]],
    servers: Servers,
    calls: Iterable[ClientCall],
    begun: Iterable[tuple[str, int]],
) -> Iterator[str]:
    """Yield what the copy lacks, or has and must not have."""
    if not servers.is_sealed():
        return  # another try was quicker, and has judged its own copy
    answered = {tag for call in calls if call.wish.verb in _ON_JOBS for tag in call.granted}
    for job_id in servers.trail.jobs:
        copied = copy.get(job_id, [])
        if _is_tombstone_of(servers.trail.newest(job_id), copied):
            continue
        there = {event.event_id for event in copied}
        for event in servers.trail.complete(job_id):
            if event.data.get("by") in answered and event.event_id not in there:
                yield f"{event.status} of job {job_id} was acknowledged, and the copy lacks it"
    for job_id, epoch in begun:
        if epoch > max((event.after.epoch for event in copy.get(job_id, [])), default=0):
            yield f"job {job_id} runs in epoch {epoch}, and the copy lacks its Started"
    for job_id, history in copy.items():
        if history[-1].after.state is State.RUNNING:
            yield f"job {job_id} is copied while it runs"
    verifier = Verifier()
    for history in copy.values():
        verifier.add(history)
    # The seal may have held back jobs that an ending asks for: the moved fleet submits them.
    for violation in verifier.finish(settled_before=datetime.min.replace(tzinfo=UTC)):
        yield f"the copy breaks a rule: {violation}"


def _is_tombstone_of(newest: Event | None, copied: Sequence[Event]) -> bool:
    """Whether the job's removal has begun, and the copy holds its tombstone and nothing else.

    Such a copy is whole. The retention has put its seal behind the job's end, and the source will
    keep no more than this tombstone. Any other copy of the job must hold what was acknowledged:
    rows that the retention has taken out in the meantime are asked for too.
    """
    if newest is None or not is_tombstone(newest):
        return False
    return list(copied) == [tombstone_under(newest)]
