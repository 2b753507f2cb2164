"""What programs get from the publisher."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel

from jobfleet_contracts.errors import ActionRefused, BodyConflict, InvalidRequest, UnknownJob
from jobfleet_contracts.state import State
from jobfleet_publisher import JobFailed, Publisher, Then
from jobfleet_publisher.plain_payload import plain_payload
from jobfleet_publisher.request_fields import request_fields
from jobfleet_worker.worker import Worker


class _Colour(Enum):
    RED = "red"


@dataclass
class _Wheel:
    size: float
    colour: _Colour


class _Car(BaseModel):
    wheels: list[_Wheel]
    built: datetime
    plan: Path


def test_models_dataclasses_enums_times_and_paths_become_plain_json() -> None:
    built = datetime(2026, 1, 31, tzinfo=UTC)
    car = _Car(wheels=[_Wheel(1.5, _Colour.RED)], built=built, plan=Path("a/b"))
    assert plain_payload({"car": car, "id": UUID(int=1)}) == {
        "car": {
            "wheels": [{"size": 1.5, "colour": "red"}],
            "built": "2026-01-31T00:00:00Z",
            "plan": "a/b",
        },
        "id": "00000000-0000-0000-0000-000000000001",
    }


async def test_a_result_comes_back_to_who_waits(publisher: Publisher, worker: Worker) -> None:
    job = await publisher.submit("echo", _Wheel(2, _Colour.RED), name="turn")
    result = await job.wait(timeout=20)
    assert result.completed
    assert result.unwrap() == {"size": 2, "colour": "red"}
    assert await job.state() is State.COMPLETED


async def test_a_large_result_comes_back_whole(publisher: Publisher, worker: Worker) -> None:
    job = await publisher.submit("echo", "x" * 200_000)
    assert (await job.wait(timeout=20)).result == "x" * 200_000


async def test_a_failed_job_says_why(publisher: Publisher, worker: Worker) -> None:
    job = await publisher.submit("broken")
    result = await job.wait(timeout=20)
    assert result.state is State.FAILED
    assert result.error is not None
    assert result.error.message == "it is broken"
    with pytest.raises(JobFailed, match="it is broken"):
        result.unwrap()


async def test_waiting_ends_with_the_timeout_and_the_job_goes_on(publisher: Publisher) -> None:
    job = await publisher.submit("echo")
    with pytest.raises(TimeoutError):
        await job.wait(timeout=0.05)
    assert await job.state() is State.QUEUED


async def test_a_job_that_nobody_runs_is_cancelled_at_once(publisher: Publisher) -> None:
    job = await publisher.submit("echo", delay=timedelta(hours=2))
    assert job.submitted is State.SCHEDULED
    assert await job.cancel(by="test", reason="changed my mind") is State.CANCELLED
    with pytest.raises(ActionRefused):
        await job.cancel()


async def test_an_empty_idempotency_key_makes_no_job_the_same(publisher: Publisher) -> None:
    for key in ("", " "):
        with pytest.raises(InvalidRequest, match="idempotency key is empty"):
            await publisher.submit("echo", 1, idempotency_key=key)


@pytest.mark.parametrize("wrong", ["a\ud800", "a\0", 7, b"a"])
async def test_a_key_or_an_id_that_is_no_text_is_refused_by_name(
    publisher: Publisher, wrong: Any
) -> None:
    asked = {
        "idempotency_key": (
            lambda: publisher.submit("echo", 1, idempotency_key=wrong),
            lambda: publisher.open_group("g", idempotency_key=wrong),
        ),
        "job_id": (
            lambda: publisher.find(wrong),
            lambda: publisher.find_request(wrong),
            lambda: publisher.job(wrong),
        ),
    }
    for field, calls in asked.items():
        for call in calls:
            with pytest.raises(InvalidRequest, match=f"^{field}: ") as refused:
                await call()
            assert refused.value.field == field


async def test_fifty_submits_with_one_key_make_one_job(publisher: Publisher) -> None:
    submits = [publisher.submit("echo", 1, idempotency_key="k") for _ in range(50)]
    jobs = await asyncio.gather(*submits)
    assert len({job.job_id for job in jobs}) == 1
    assert sum(job.created for job in jobs) == 1
    with pytest.raises(BodyConflict):
        await publisher.submit("echo", 2, idempotency_key="k")


async def test_many_jobs_are_checked_before_the_first_is_submitted(publisher: Publisher) -> None:
    with pytest.raises(InvalidRequest, match="job 1: unknown field: colour"):
        await publisher.submit_many([{"type": "echo"}, {"type": "echo", "colour": 1}])
    jobs = await publisher.submit_many([{"type": "echo"}] * 100)
    assert len(jobs) == 100


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"payload": object()}, "payload"),
        ({"payload": float("inf")}, "payload"),
        ({"priority": 11}, "priority"),
        ({"run_at": datetime(2026, 1, 1)}, "runAt"),  # noqa: DTZ001 - that is the point
        ({"run_at": datetime(2026, 1, 1, tzinfo=UTC), "delay": 1}, "delay"),
        ({"timeout": 0}, "timeoutSeconds"),
        ({"job_id": "x"}, "jobId"),
        ({"callback_url": "ftp://host/"}, "callbackUrl"),
    ],
)
async def test_what_does_not_fit_is_named(
    publisher: Publisher, options: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        await publisher.submit("echo", **options)  # type: ignore[arg-type]
    assert refusal.value.field == field


async def test_a_publisher_from_the_environment_closes_what_it_opened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Publisher.from_env(data_dir=tmp_path) as publisher:
        job = await publisher.submit("echo")
    async with Publisher.from_env(data_dir=tmp_path) as publisher:
        again = await publisher.submit("echo", job_id=job.job_id)
    assert not again.created
    assert capsys.readouterr() == ("", ""), "a library prints nothing"


async def test_a_job_is_found_by_its_id(publisher: Publisher, worker: Worker) -> None:
    submitted = await publisher.submit("echo", {"a": 1}, name="an echo")
    again = await publisher.job(submitted.job_id)
    assert (await again.wait(timeout=10)).unwrap() == {"a": 1}
    details = await publisher.find(submitted.job_id)
    assert details is not None
    assert (details.job_name, details.attempt, details.result) == ("an echo", 1, {"a": 1})


async def test_an_unknown_job_is_not_found(publisher: Publisher) -> None:
    unknown = "00000000-0000-7000-8000-000000000000"
    assert await publisher.find(unknown) is None
    with pytest.raises(UnknownJob):
        await publisher.job(unknown)


@pytest.mark.parametrize(
    ("then", "named"),
    [
        ([{"type": "x"}], "then.0: must be a Then(…), not dict"),
        ({"type": "x"}, "then: must be a list of Then(…), not dict"),
        (Then(type="x"), "then: must be a list of Then(…), not Then"),
        ([Then(type="x", then=["y"])], "then.0.then.0: must be a Then(…), not str"),  # type: ignore[list-item]
        ([Then(type="x", payload=object())], "then.0.payload is not JSON"),
    ],
)
def test_what_follows_and_is_no_then_is_refused_by_its_place(then: Any, named: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        request_fields({"then": then})
    assert str(refused.value).startswith(named)
