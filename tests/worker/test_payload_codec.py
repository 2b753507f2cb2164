"""With a payload codec storage holds no clear text; workers without its key leave jobs alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import structlog

from jobfleet_backends.open_backend import with_coder
from jobfleet_backends.settings import Settings
from jobfleet_backends.sqlite.backend import open_embedded
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.move_export import MoveExport
from jobfleet_cli.move_import import MoveImport
from jobfleet_cli.patience import Patience
from jobfleet_cli.session import Session
from jobfleet_contracts.errors import ActionRefused, BodyConflict, InvalidRequest
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import EventQuery, JobQuery
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.lease import key_lock
from jobfleet_contracts.state import State
from jobfleet_contracts.transaction import Opened
from jobfleet_contracts.value_coder import NO_CODER, ValueCoder
from jobfleet_protocol.actions.erasure import ERASURE_SECONDS
from jobfleet_protocol.actions.group_counts import member_id
from jobfleet_protocol.actions.groups import group_request
from jobfleet_protocol.actions.submission import Submitter
from jobfleet_protocol.actions.successors import successor_id
from jobfleet_protocol.actions.write_side import WriteSide
from jobfleet_protocol.audit.export_check import check_export
from jobfleet_protocol.audit.verification import Verifier, verify_job
from jobfleet_protocol.moving import move_in, move_out
from jobfleet_protocol.reading.export_line import event_of_line, export_line
from jobfleet_protocol.reading.job_reader import JobReader
from jobfleet_protocol.reading.log_reader import LogReader
from jobfleet_protocol.reading.search import narrow
from jobfleet_protocol.trail.large_data import resolve
from jobfleet_worker import Defer, Fail, JobContext, handler
from jobfleet_worker.upkeep.open_erasures import WATCHED_SECONDS
from tests.protocol.steered_clock import SteeredClock
from tests.worker.key_ring import KeyRing
from tests.worker.process_handlers import echo
from tests.worker.test_rescuer import Ward
from tests.worker.workshop import DEFAULTS, RunningWorker, Workshop

WORD = "Ada-Lovelace-of-London"
_log = logging.getLogger(__name__)


@handler("order.pay", index=["customer"])
async def pay(payload: dict[str, str], context: JobContext) -> dict[str, str]:
    """Goes through all that a handler can say, and returns a value too large for a row."""
    who = payload["customer"]
    seen: dict[str, str] | None = context.last_checkpoint
    _log.warning("greeting %s", who, extra={"who": who})
    await context.progress(context.attempt, 3, f"looking for {who}")
    if seen is None:
        await context.checkpoint({"who": who})
        if "later" in payload:
            raise Defer(0.01, f"later for {who}")
    if context.attempt == 1:
        raise ValueError(f"no account of {who}")
    assert seen == {"who": who}
    assert context.job.description == f"of {who}"
    assert context.job.processing_parameters == {"who": who}
    assert context.job.input_file_path == f"/in/{who}"
    assert context.request == {"headers": {"x-user": who}, "traceparent": "00-1"}
    return {"greeting": who * 4000}


@handler("order.refuse")
async def refuse(payload: dict[str, str]) -> None:
    raise Fail(f"refused for {payload['customer']}", details={"for": payload["customer"]})


@handler("order.report")
async def report(payload: dict[str, Any]) -> str:
    assert payload["customer"] == WORD
    return f"{len(payload['paid']['greeting'])} characters for {WORD}"


@handler("order.count", lock_key=lambda payload: f"customer-{payload['number']}")
async def count(payload: dict[str, int]) -> int:
    return payload["number"]


@handler("order.gather")
async def gather(payload: dict[str, Any]) -> int:
    assert payload == {"of": WORD, "all": [0, 1]}
    return len(payload["all"])


def coder(*keys: str) -> ValueCoder:
    return ValueCoder(KeyRing(*keys)) if keys else NO_CODER


@pytest.fixture
async def workshop(tmp_path: Path, clock: SteeredClock) -> AsyncIterator[Workshop]:
    """A fleet whose processes have key k1, on an embedded backend."""
    settings = Settings(backend="embedded", data_dir=tmp_path)
    backend = with_coder(await open_embedded(settings, clock=clock), coder("k1"))
    found = Workshop(backend, clock)
    yield found
    await found.close()
    await found.verified()
    await backend.close()


def submitter_with(workshop: Workshop, *keys: str) -> Submitter:
    backend = replace(workshop.real, coder=coder(*keys))
    return WriteSide.wire(backend=backend, clock=workshop.clock, defaults=DEFAULTS).submitter


def worker_with(workshop: Workshop, *keys: str, **options: Any) -> RunningWorker:
    """Start a worker that has these keys."""
    workshop.backend = replace(workshop.backend, coder=coder(*keys))
    return workshop.start_worker(pay, refuse, report, count, gather, echo, **options)


def reader_with(workshop: Workshop, *keys: str) -> JobReader:
    real = workshop.real
    return JobReader(trail=real.trail, payloads=real.payloads, coder=coder(*keys))


def files_with(word: str, folder: Path) -> list[str]:
    """Return the files that hold a word, rows that were deleted and the log of SQLite included."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path.name for path in files if word.encode() in path.read_bytes()]


def job_of(word: str, **payload: str) -> JobRequest:
    return JobRequest.parse(
        {
            "type": "order.pay",
            "payload": {"customer": word} | payload,
            "description": f"of {word}",
            "processingParameters": {"who": word},
            "inputFilePath": f"/in/{word}",
            "context": {"headers": {"x-user": word}, "traceparent": "00-1"},
            "then": [
                {
                    "type": "order.report",
                    "payload": {"customer": word},
                    "results": {"paid": "previous"},
                }
            ],
        }
    )


async def test_no_byte_of_clear_text_is_stored_or_logged_from_submit_to_callback(
    workshop: Workshop, tmp_path: Path
) -> None:
    with structlog.testing.capture_logs() as logged:
        worker_with(workshop, "k1")
        request = job_of(WORD, later="yes")
        await workshop.submitter.submit(request)
        paid = await workshop.until_ended(request.job_id)
        assert paid.status == "Completed", paid
        followed = await workshop.until_ended(successor_id(request.job_id, 0, 1))
        refused = await workshop.run("order.refuse", {"customer": WORD}, max_attempts=2)
    kinds = await workshop.statuses(request.job_id)
    assert {"Step 1", "Deferred", "AttemptFailed", "RetryScheduled"} <= set(kinds)
    assert followed.status == "Completed"
    assert refused.status == "Failed"
    await workshop.close()
    await workshop.real.index.flush()
    assert files_with(WORD, tmp_path) == []
    assert WORD not in repr(logged)

    record = await reader_with(workshop, "k1").read(request.job_id)
    shown = repr(record.to_json())
    assert record.result == {"greeting": WORD * 4000}
    assert record.request is not None
    assert record.request.payload == {"customer": WORD, "later": "yes"}
    assert {f"1/3 looking for {WORD}", f"later for {WORD}", f"no account of {WORD}"} <= {
        event.message for event in record.events
    }
    assert f"retry 1 of 2, after: no account of {WORD}" in shown
    assert f"ValueError: no account of {WORD}" in record.last_error["traceback"]
    assert record.last_error["place"].startswith(__name__)
    lines = await LogReader(
        trail=workshop.real.trail, logs=workshop.real.logs, coder=coder("k1")
    ).page(request.job_id)
    assert [line.line.message for line in lines.lines] == [f"greeting {WORD}"] * 3
    failed = await reader_with(workshop, "k1").read(refused.job_id)
    assert failed.newest.message == f"refused for {WORD}"


async def test_who_lacks_the_codec_sees_a_label_and_still_acts(workshop: Workshop) -> None:
    worker_with(workshop, "k1")
    request = job_of(WORD)
    await workshop.submitter.submit(request)
    await workshop.until_ended(request.job_id)
    await workshop.close()
    for keys in ((), ("k2",)):
        record = await reader_with(workshop, *keys).read(request.job_id)
        assert record.request is not None
        assert record.request.payload == "encrypted (key k1)"
        assert record.result == "encrypted (key k1)"
        assert record.last_error["message"] == "encrypted (key k1)"
        messages = [event.message for event in record.events]
        assert "1/3 encrypted (key k1)" in messages
        assert "retry 1 of 2, after: encrypted (key k1)" in messages
        assert "$encoded" not in repr(record.to_json())
    lines = await LogReader(trail=workshop.real.trail, logs=workshop.real.logs).page(request.job_id)
    assert {line.line.message for line in lines.lines} == {"encrypted (key k1)"}
    rows = await workshop.real.reader.jobs(JobQuery())
    assert request.job_id in {row.facts.job_id for row in rows.items}
    shown = await workshop.real.reader.events(EventQuery(limit=50))
    assert "encrypted (key k1)" in {event.masked().message for event in shown.items}
    history = await workshop.history(request.job_id)
    assert verify_job(history) == []
    whole = [await resolve(event, workshop.real.payloads) for event in history]
    for raw in (True, False):
        exported = [export_line(event, raw=raw) for event in whole]
        assert WORD not in repr(exported)
        assert list(check_export([event_of_line(line) for line in exported])) == []


async def test_a_worker_without_the_key_leaves_the_job_to_one_that_has_it(
    workshop: Workshop,
) -> None:
    without = [worker_with(workshop), worker_with(workshop, "k2", no_handler_seconds=0)]
    job_id = await workshop.submit("order.refuse", {"customer": WORD})
    head = await workshop.until_state(job_id, State.DEFERRED)
    assert head.data == {"reason": "noCodec"}
    assert head.message == "the worker that took it cannot decode its payload: encrypted (key k1)"
    # They would put the job off again and again if they won the race for its message.
    await asyncio.gather(*(worker.stop() for worker in without))
    worker_with(workshop, "k2", "k1")
    ended = await workshop.until_ended(job_id)
    assert await workshop.statuses(job_id) == ["Queued", "Deferred", "Started", "Failed"]
    assert ended.worker_id == "w3"


async def test_a_job_whose_key_nobody_has_is_cancelled_without_it(workshop: Workshop) -> None:
    worker_with(workshop)
    job_id = await workshop.submit("order.pay", {"customer": WORD})
    await workshop.until_state(job_id, State.DEFERRED)
    await workshop.canceller.cancel(job_id, by="an operator")
    assert (await workshop.until_ended(job_id)).status == "Cancelled"


async def test_after_a_rotation_old_jobs_run_and_the_same_submit_is_the_same_job(
    workshop: Workshop,
) -> None:
    old = job_of(WORD)
    await workshop.submitter.submit(old, idempotency_key="order/1")
    rotated = submitter_with(workshop, "k1", "k2")
    again = await rotated.submit(job_of(WORD), idempotency_key="order/1")
    assert not again.created
    with pytest.raises(BodyConflict, match="with another body"):
        await rotated.submit(job_of("Grace"), idempotency_key="order/1")
    with pytest.raises(BodyConflict, match=r"encrypted \(key k1\).*JOBFLEET_PAYLOAD_CODEC"):
        await submitter_with(workshop).submit(job_of(WORD), idempotency_key="order/1")
    new = await rotated.submit(JobRequest(type="order.refuse", payload={"customer": WORD}))
    opening = await workshop.real.trail.read(new.job_id, 1)
    assert opening is not None
    assert opening.data["request"]["payload"]["$encoded"]["key"] == "k2"
    worker_with(workshop, "k1", "k2")
    ended = await workshop.until_ended(again.job_id)
    assert ended.status == "Completed"
    assert ended.data["result"]["$encoded"]["key"] == "k2"
    assert (await workshop.until_ended(new.job_id)).status == "Failed"


async def test_a_job_of_before_the_codec_is_the_same_job_after_it(workshop: Workshop) -> None:
    await submitter_with(workshop).submit(job_of(WORD), idempotency_key="order/2")
    again = await workshop.submitter.submit(job_of(WORD), idempotency_key="order/2")
    assert not again.created
    worker_with(workshop, "k1")
    assert (await workshop.until_ended(again.job_id)).status == "Completed"


async def test_a_job_is_found_by_a_payload_key_with_the_codec_only(workshop: Workshop) -> None:
    worker_with(workshop, "k1")
    request = job_of(WORD)
    await workshop.submitter.submit(request)
    await workshop.until_ended(request.job_id)
    await workshop.close()
    await workshop.real.index.flush()
    query = narrow(JobQuery(), f"payload.customer:{WORD.lower()}")
    found = await workshop.real.reader.jobs(query)
    assert [row.facts.job_id for row in found.items] == [request.job_id]
    plain = await workshop.real.reader._reader.jobs(query)  # type: ignore[attr-defined]
    assert plain.items == []


async def test_a_handler_s_lock_key_is_made_of_the_clear_payload(workshop: Workshop) -> None:
    worker_with(workshop, "k1")
    ended = await workshop.run("order.count", {"number": 7})
    started = (await workshop.history(ended.job_id))[1]
    assert [each.lock for each in started.after.locks] == [key_lock("customer-7")]
    assert ended.status == "Completed"


async def test_members_and_successors_of_a_group_are_encoded(workshop: Workshop) -> None:
    groups = WriteSide.wire(backend=workshop.real, clock=workshop.clock, defaults=DEFAULTS).groups
    step = {"type": "order.gather", "payload": {"of": WORD}, "results": {"all": "members"}}
    group = (await groups.open(group_request({"then": [step]}))).job_id
    worker_with(workshop, "k1")
    for index in range(2):
        await groups.add(group, index, JobRequest(type="order.count", payload={"number": index}))
    await groups.seal(group, 2)
    gathered = await workshop.until_ended(successor_id(group, 0, 1))
    assert gathered.status == "Completed"
    assert gathered.data["result"].keys() == {"$encoded"}
    opening = await workshop.real.trail.read(member_id(group, 1), 1)
    assert opening is not None
    assert opening.data["request"]["payload"].keys() == {"$encoded"}
    assert WORD not in repr(await workshop.history(group))


async def test_a_payload_of_a_megabyte_runs_in_another_process(workshop: Workshop) -> None:
    worker_with(workshop, "k1")
    text = WORD * 45_000
    ended = await workshop.run("process.echo", text)
    assert ended.status == "Completed", ended
    result = coder("k1").clear_value(ended.data["result"])
    assert result["payload"] == text
    assert WORD not in repr(await workshop.history(ended.job_id))


async def test_nobody_submits_what_looks_encoded(workshop: Workshop) -> None:
    value = ValueCoder(KeyRing("k1")).value({"customer": WORD})
    with pytest.raises(InvalidRequest, match="payload"):
        await workshop.submitter.submit(JobRequest(type="order.pay", payload=value))


async def test_a_job_of_a_users_transaction_is_encoded_and_the_same_after_a_rotation(
    workshop: Workshop,
) -> None:
    """The part that a user's own PostgreSQL transaction writes, here in one of SQLite."""
    assert workshop.real.openings is not None
    first, same, other = (job_of(WORD, **more) for more in ({}, {}, {"more": "x"}))
    written: Event | None = None
    for request, keys in ((first, ("k1",)), (same, ("k2", "k1")), (other, ("k2", "k1"))):
        backend = replace(workshop.real, coder=coder(*keys))
        write_side = WriteSide.wire(backend=backend, clock=workshop.clock, defaults=DEFAULTS)
        submission = write_side.transactional
        stored = submission.identified(request, "order/1")
        opening = submission.opening(stored, by="ann", notify=True)
        assert WORD not in repr(opening)
        if written is None:
            await workshop.real.openings.write(opening)
            written = await workshop.real.trail.read(stored.job_id, 1)
        elif request is same:
            assert not submission.answer(stored, opening, Opened("1", written, written)).created
        else:
            with pytest.raises(BodyConflict):
                submission.answer(stored, opening, Opened("1", written, written))


async def test_a_redriven_job_is_published_encoded_and_its_data_are_verified_without_a_key(
    workshop: Workshop, tmp_path: Path
) -> None:
    worker_with(workshop, "k1")
    ended = await workshop.run("order.refuse", {"customer": WORD})
    backend = replace(workshop.real, coder=NO_CODER)
    keyless = WriteSide.wire(backend=backend, clock=workshop.clock, defaults=DEFAULTS)
    await keyless.redriver.redrive(ended.job_id, by="operator")
    again = await workshop.until_ended(ended.job_id)
    while again.after.incarnation < 2:
        await asyncio.sleep(0.02)
        again = await workshop.until_ended(ended.job_id)
    assert again.message.startswith('{"$encoded":')
    assert coder("k1").clear_text(again.message) == f"refused for {WORD}"
    large = job_of(WORD)
    await workshop.submitter.submit(large)
    follower = successor_id(large.job_id, 0, 1)
    await workshop.until_ended(follower)
    verifier = Verifier()
    for job_id in (ended.job_id, large.job_id, follower):
        history = await workshop.real.trail.history(job_id)
        verifier.add([await resolve(event, workshop.real.payloads) for event in history])
    assert verifier.finish() == []
    assert files_with(WORD, tmp_path) == []


async def test_an_encoded_job_is_erased_by_a_process_without_its_key(
    workshop: Workshop, clock: SteeredClock
) -> None:
    running = worker_with(workshop, "k1")
    ended = await workshop.run("order.refuse", {"customer": WORD})
    await running.stop()
    backend = replace(workshop.real, coder=NO_CODER)
    workshop.backend = replace(workshop.backend, coder=NO_CODER)
    keyless = WriteSide.wire(backend=backend, clock=clock, defaults=DEFAULTS)
    await keyless.eraser.erase(ended.job_id, by="ann", reason="she asked for it")
    ward = Ward(workshop, clock)
    clock.advance(ERASURE_SECONDS + 1)
    for _ in range(4):
        await ward.sweep()
        clock.advance(WATCHED_SECONDS + 1)
    history = await workshop.history(ended.job_id)
    assert history[0].is_erased
    assert "$encoded" not in repr(history)
    assert verify_job(history) == []
    with pytest.raises(ActionRefused, match="erased by ann"):
        await workshop.redriver.redrive(ended.job_id, by="ann")


async def test_a_move_takes_encoded_values_along_by_a_process_without_their_key(
    workshop: Workshop, tmp_path: Path
) -> None:
    worker_with(workshop, "k1")
    paid = job_of(WORD)
    await workshop.submitter.submit(paid)
    await workshop.until_ended(successor_id(paid.job_id, 0, 1))
    waiting = await workshop.submit("order.refuse", {"customer": WORD}, queue="later")
    file = tmp_path / "fleet.jsonl"
    elsewhere = Settings(backend="embedded", data_dir=tmp_path / "elsewhere")
    clock, here = workshop.clock, replace(workshop.real, coder=NO_CODER)
    there = await open_embedded(elsewhere, clock=clock)
    with (
        patch.object(move_in, "SETTLED_SECONDS", 0.0),
        patch.object(move_out, "SETTLED_SECONDS", 0.0),
    ):
        for step, backend in (
            (MoveExport(out=file, reason="", wait_seconds=30), here),
            (MoveImport(file=file), there),
        ):
            writes = WriteSide.wire(backend=backend, clock=clock, defaults=DEFAULTS)
            session = Session(elsewhere, backend, clock, Patience(), writes)
            assert await step.run(session) is ExitCode.DONE
            await writes.settle()
    assert files_with(WORD, tmp_path) == []
    moved = Workshop(with_coder(there, coder("k1")), clock)
    try:
        worker_with(moved, "k1", queues=("default", "later"))
        refused = await moved.until_ended(waiting)
        assert coder("k1").clear_text(refused.message) == f"refused for {WORD}"
        large = await resolve(await moved.head(paid.job_id), there.payloads)
        assert coder("k1").clear_value(large.data["result"]) == {"greeting": WORD * 4000}
    finally:
        await moved.close()
        await there.close()
