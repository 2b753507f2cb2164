"""An encoded value that a handler copied is decoded for nobody, with and without a codec there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from pydantic import BaseModel

from jobfleet_contracts.encoded_value import MARK
from jobfleet_protocol.reading.log_reader import LogReader
from jobfleet_protocol.trail.large_data import resolve
from jobfleet_publisher.job_details import JobDetails
from jobfleet_publisher.job_result import JobResult
from jobfleet_worker import BlockingJobContext, Defer, Fail, JobContext, Retry, handler
from tests.worker.test_payload_codec import coder, reader_with
from tests.worker.workshop import Workshop

WORD = "Ada-Lovelace-of-London"
COPIED = coder("k1").value(WORD)
TEXT = orjson.dumps(COPIED).decode()
_log = logging.getLogger(__name__)


class _Model(BaseModel):
    held: Any


class _Named(Exception):
    pass


_Named.__name__ = _Named.__qualname__ = TEXT


async def _progress(context: JobContext) -> None:
    await context.progress(1, 2, TEXT)


async def _checkpoint(context: JobContext) -> Any:
    await context.checkpoint({"a": [COPIED]})


async def _checkpoint_of_text(context: JobContext) -> Any:
    await context.checkpoint({"a": [TEXT]})


async def _logged(_: JobContext) -> None:
    _log.warning("%s", TEXT, extra={"who": TEXT, "what": COPIED})
    try:
        raise ValueError(TEXT)
    except ValueError:
        _log.exception(TEXT)


def _raised(error: BaseException) -> Callable[[JobContext], Any]:
    async def way(_: JobContext) -> None:
        raise error

    return way


def _returned(value: Any) -> Callable[[JobContext], Any]:
    async def way(_: JobContext) -> Any:
        return value

    return way


async def _deferred(context: JobContext) -> None:
    if not context.last_checkpoint:
        await context.checkpoint(1)
        raise Defer(0.01, TEXT)


WAYS: dict[str, Callable[[JobContext], Any]] = {
    "result": _returned(COPIED),
    "result within": _returned({"a": [{"b": COPIED}]}),
    "result of text": _returned([f"see {TEXT} there"]),
    "result of a model": _returned(_Model(held=COPIED)),
    "result of a model of text": _returned(_Model(held=TEXT)),
    "progress": _progress,
    "checkpoint": _checkpoint,
    "checkpoint of text": _checkpoint_of_text,
    "log": _logged,
    "error": _raised(ValueError(TEXT)),
    "type of an error": _raised(_Named("x")),
    "note of an error": _raised(ExceptionGroup(TEXT, [ValueError(TEXT), _Named(TEXT)])),
    "fail": _raised(Fail(TEXT, details={"a": COPIED, "b": [TEXT]})),
    "retry": _raised(Retry(TEXT, after=0.01)),
    "defer": _deferred,
}


@handler("leak", retry_on=())
async def leak(payload: str, context: JobContext) -> Any:
    return await WAYS[payload](context)


@handler("leak.blocking", retry_on=())
def leak_blocking(payload: str, context: BlockingJobContext) -> Any:
    context.progress(1, 2, TEXT)
    _log.warning(TEXT)
    return {payload: [TEXT]}


@handler("leak.lock", lock_key=lambda payload: f"{payload}{TEXT}")
async def leak_lock(payload: str) -> None: ...


@pytest.mark.parametrize("keys", [(), ("k1",)], ids=["no codec", "codec"])
async def test_no_value_of_a_handler_is_decoded_for_others(
    workshop: Workshop, keys: tuple[str, ...]
) -> None:
    workshop.backend = replace(workshop.backend, coder=coder(*keys))
    workshop.start_worker(leak, leak_blocking, leak_lock)
    jobs = [await workshop.run("leak", way, max_attempts=2) for way in WAYS]
    jobs += [await workshop.run("leak.blocking", "p"), await workshop.run("leak.lock", "p")]
    for job, way in zip(jobs, [*WAYS, "blocking", "lock"], strict=True):
        record = await reader_with(workshop, "k1").read(job.job_id)
        assert WORD not in repr(record.to_json()), way
        assert WORD not in repr([event.to_json() for event in record.events]), way
        head = await resolve(job, workshop.real.payloads)
        opened = coder("k1").opened(head)
        if not keys:  # with one, its owner gets back what it gave
            assert WORD not in repr((JobDetails.of(opened), JobResult.of(opened))), way
            assert TEXT not in repr(head), way
        lines = await LogReader(
            trail=workshop.real.trail, logs=workshop.real.logs, coder=coder("k1")
        ).page(job.job_id)
        assert WORD not in repr(lines), way
        refused = way in ("result", "result within", "result of a model", "checkpoint")
        assert job.status == "Failed" if refused else True, way
        assert (MARK in repr(record.last_error)) == refused or way == "lock", way
