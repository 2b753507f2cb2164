"""Requests of a newer protocol level are accepted only while the workers concerned have it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from jobfleet_backends.rabbitmq import message_codec as rabbit_codec
from jobfleet_backends.sql import message_codec as sql_codec
from jobfleet_contracts.codec import decode, encode
from jobfleet_contracts.control import ControlKind, ControlSubject
from jobfleet_contracts.errors import ActionRefused, FleetTooOld, WrittenByNewer
from jobfleet_contracts.event import Event
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.message import JobMessage, MalformedMessage
from jobfleet_contracts.protocol_level import FIELD_LEVELS, PROTOCOL_LEVEL
from jobfleet_contracts.schedule import Schedule
from jobfleet_contracts.worker_status import WorkerStatus
from jobfleet_protocol.actions.submission import unknown_fields_of
from jobfleet_protocol.actions.write_side import WriteSide
from jobfleet_protocol.audit.control_check import check_control_log
from jobfleet_protocol.audit.verification import Verifier
from jobfleet_protocol.claiming.acceptance import ForNewer
from jobfleet_protocol.control.schedules import Schedules
from jobfleet_protocol.control.used_level import UsedLevels
from jobfleet_protocol.trail.chain import linked
from tests.backends.rabbitmq.received import received
from tests.protocol.bench import DEFAULTS, Bench

LEVELS = {"inputFilePath": 2}


def writes_of_next_release(bench: Bench) -> WriteSide:
    return WriteSide.wire(
        backend=bench.backend, clock=bench.clock, defaults=DEFAULTS, levels=LEVELS
    )


def used(bench: Bench) -> UsedLevels:
    return UsedLevels(log=bench.real.control_log, clock=bench.clock)


async def beat(bench: Bench, *, level: int, seconds_ago: float = 0, **fields: object) -> str:
    status = WorkerStatus(
        worker_id=new_id(),
        host="node-7",
        version=f"0.{level}.0",
        level=level,
        heartbeat_at=bench.clock.now() - timedelta(seconds=seconds_ago),
    )
    await bench.real.directory.beat(replace(status, **fields))  # type: ignore[arg-type]
    return status.worker_id


async def test_no_field_is_above_the_level_of_this_release() -> None:
    assert all(level <= PROTOCOL_LEVEL for level in FIELD_LEVELS.values())
    assert JobRequest.model_fields.keys().isdisjoint(FIELD_LEVELS)  # wire names


async def test_an_old_worker_of_the_queue_refuses_what_it_cannot_act_on(bench: Bench) -> None:
    writes = writes_of_next_release(bench)
    request = JobRequest(type="x", input_file_path="rows.csv")
    worker = await beat(bench, level=1, queues=("default", "mail"))
    with pytest.raises(FleetTooOld, match=rf"inputFilePath.*{worker} on node-7 runs release 0.1.0"):
        await writes.submitter.submit(request)
    assert await bench.history(request.job_id) == []
    assert (await used(bench).read()).level == 1  # a refused request uses nothing
    assert (await writes.submitter.submit(JobRequest(type="x"))).created
    elsewhere = request.model_copy(update={"queue": "other"})
    assert (await writes.submitter.submit(elsewhere)).created
    assert (await used(bench).read()).level == 2


async def test_only_live_workers_and_the_leader_count(bench: Bench) -> None:
    writes = writes_of_next_release(bench)
    await beat(bench, level=2, queues=("default",))
    await beat(bench, level=1, queues=("default",), seconds_ago=20)
    await beat(bench, level=1, queues=("default",), stopped_at=bench.clock.now())
    await beat(bench, level=1, queues=("other",))
    assert (await writes.submitter.submit(JobRequest(type="x", input_file_path="a"))).created
    leader = await beat(bench, level=1, queues=("other",), leads=True)
    with pytest.raises(FleetTooOld, match=leader):
        await writes.submitter.submit(JobRequest(type="x", input_file_path="b"))


async def test_a_worker_that_starts_while_the_level_is_noted_is_seen(bench: Bench) -> None:
    writes = writes_of_next_release(bench)
    noted = writes.gate._used.raise_to

    async def note_beside_a_start(level: int, *, by: str, reason: str) -> None:
        await noted(level, by=by, reason=reason)
        await beat(bench, level=1, queues=("default",))

    writes.gate._used.raise_to = note_beside_a_start  # type: ignore[method-assign]
    with pytest.raises(FleetTooOld):
        await writes.submitter.submit(JobRequest(type="x", input_file_path="a"))


async def test_a_job_that_was_accepted_is_found_whoever_works_now(bench: Bench) -> None:
    writes = writes_of_next_release(bench)
    request = JobRequest(type="x", input_file_path="a")
    await writes.submitter.submit(request)
    await beat(bench, level=1, queues=("default",))
    assert not (await writes.submitter.submit(request)).created


async def of_an_unknown_kind(bench: Bench, head: Event) -> Event:
    """Write the event of a newer release after the head."""
    after = replace(head.after, sequence=head.sequence + 1, lifecycle_before=head.newest_lifecycle)
    event = linked(head, replace(head, after=after, status="Invented", event_id=new_id()))
    await bench.real.trail.insert([event])
    bench.verify = verified_but_for_it(bench, event)  # type: ignore[method-assign]
    return event


def verified_but_for_it(bench: Bench, event: Event) -> Callable[[], Coroutine[Any, Any, None]]:
    """Return what finds the unknown event, and nothing else, when the bench is cleared."""

    async def verify() -> None:
        verifier = Verifier()
        async for history in bench.real.trail.scan():
            verifier.add(history)
        assert {each.event_id for each in verifier.finish()} == {event.event_id}

    return verify


async def test_a_job_whose_newest_event_is_of_an_unknown_kind_is_left_alone(bench: Bench) -> None:
    request = await bench.submit()
    newest = await of_an_unknown_kind(bench, await bench.head(request.job_id))
    result = await bench.claim(request)
    assert isinstance(result, ForNewer)
    assert "'Invented'" in result.reason
    for act in (bench.canceller.cancel, bench.redriver.redrive, bench.redriver.dismiss):
        with pytest.raises(ActionRefused):
            await act(request.job_id, by=None)
    with pytest.raises(WrittenByNewer, match="Invented"):
        await bench.canceller.cancel(request.job_id, by=None)
    assert await bench.head(request.job_id) == newest


async def test_a_lock_whose_last_holder_has_an_unknown_event_is_left_alone(bench: Bench) -> None:
    first = await bench.submit(lock_key="k")
    claimed = await bench.claimed(first)
    await of_an_unknown_kind(bench, await bench.head(first.job_id))
    await bench.claimer().leases.give_up(claimed.lease, claimed.request)
    result = await bench.claim(await bench.submit(lock_key="k"), "w2")
    assert isinstance(result, ForNewer)
    assert first.job_id in result.reason


def decoded_by_sql(message: JobMessage, **beside: object) -> JobMessage | MalformedMessage:
    body, hints = sql_codec.encode_message(message)
    return sql_codec.decode_message(encode(decode(body) | beside), hints)


def decoded_by_rabbitmq(message: JobMessage, **beside: object) -> JobMessage | MalformedMessage:
    key = bytes(32)
    sent = rabbit_codec.encode_message(message, key=key)
    body = encode(decode(sent.body) | beside)
    headers = dict(sent.headers)
    headers[rabbit_codec.CODE] = rabbit_codec._code(key, body, headers)
    return rabbit_codec.decode_message(received(body, headers=headers), key=key)


@pytest.mark.parametrize("decoded", [decoded_by_sql, decoded_by_rabbitmq])
async def test_a_message_that_is_passed_on_without_a_newer_field_proves_nothing(
    bench: Bench, decoded: Callable[..., JobMessage | MalformedMessage]
) -> None:
    message = await bench.message(await bench.submit())
    whole = decoded(message)
    assert isinstance(whole, JobMessage)
    assert not whole.needs_trail
    lacking = decoded(message, colour="red")
    assert isinstance(lacking, JobMessage)
    assert lacking.unknown_fields == ("colour",)
    again = decoded(lacking)  # the field is lost on the way, and nothing tells of it
    assert isinstance(again, JobMessage)
    assert (again.unknown_fields, again.needs_trail) == ((), True)


async def test_a_newer_default_is_left_to_newer_workers(bench: Bench) -> None:
    request = await bench.submit()
    opening = await bench.first(request.job_id)
    assert unknown_fields_of(opening) == ()
    defaults = opening.data["defaults"] | {"patience": 3}
    newer = replace(opening, data=opening.data | {"defaults": defaults})
    assert unknown_fields_of(newer) == ("defaults.patience",)


async def test_an_entry_of_an_unknown_kind_hides_no_other_and_fires_nothing(bench: Bench) -> None:
    log = bench.real.control_log
    schedules = Schedules(log=log, trail=bench.trail, submitter=bench.submitter, clock=bench.clock)
    for name in ("known", "newer"):
        schedule = Schedule(name=name, type="x", every=timedelta(seconds=10))
        await schedules.declare(schedule, by="me")
    head = await log.newest(ControlSubject.SCHEDULE, "newer")
    assert head is not None
    kind: Any = "Invented"
    await log.insert(replace(head, sequence=2, entry_id=new_id(), kind=kind))
    heads = {each.name: each for each in await log.heads(ControlSubject.SCHEDULE)}
    assert heads["newer"].kind is ControlKind.NEWER
    later = bench.clock.now() + timedelta(seconds=60)
    with pytest.raises(WrittenByNewer, match="newer"):
        await schedules.fire_due(heads["newer"], later)
    assert (await schedules.fire_due(heads["known"], later)).kind is ControlKind.FIRED
    history = await log.history(ControlSubject.SCHEDULE, "newer")
    assert [each.message for each in check_control_log(list(history)[::-1])] == [
        "its kind is none that this release knows"
    ]
