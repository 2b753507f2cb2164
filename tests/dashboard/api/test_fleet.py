"""Workers, queues, locks, dead letters, statistics, probes, metrics."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.codec import format_time
from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.lease import key_lock, key_locks
from jobfleet_contracts.message import MalformedMessage
from jobfleet_contracts.worker_status import RunningJob, WorkerStatus
from jobfleet_protocol.reading.lock_list import read_locks
from jobfleet_protocol.reading.worker_record import read_worker, worker_json
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.conftest import client_of
from tests.dashboard.api.life import Life
from tests.dashboard.api.test_jobs import submit


def a_worker(*, silent_minutes: float = 0) -> WorkerStatus:
    now = datetime.now(UTC)
    return WorkerStatus(
        worker_id=new_id(),
        host="node-1",
        pid=7,
        version="1",
        started_at=now,
        heartbeat_at=now - timedelta(minutes=silent_minutes),
        slots=10,
        queues=("default",),
        types=("demo.steps",),
    )


async def test_workers_tell_whether_their_heart_beats(client: AsgiClient, backend: Backend) -> None:
    alive, silent = a_worker(), a_worker(silent_minutes=1)
    for worker in (alive, silent):
        await backend.directory.beat(worker)
    items = (await client.get("/api/workers")).json["items"]
    assert {item["workerId"]: item["alive"] for item in items} == {
        alive.worker_id: True,
        silent.worker_id: False,
    }


async def test_queues_show_each_lane(client: AsgiClient) -> None:
    await submit(client, priority=9)
    await submit(client)
    items = (await client.get("/api/queues")).json["items"]
    ready = {(item["queue"], item["lane"]): item["ready"] for item in items}
    assert (ready["default", "high"], ready["default", "normal"]) == (1, 1)


async def test_locks_show_the_holder_and_who_waits(
    client: AsgiClient, backend: Backend, life: Life
) -> None:
    holder = await submit(client, lockKey="customer-42")
    waiter = await submit(client, lockKey="customer-42")
    lock = key_lock("customer-42")
    await backend.leases.create(lock)
    await backend.leases.acquire(lock, new_id(), 60)
    await life.start(holder, lock=lock)
    await backend.index.flush()
    (item,) = (await client.get("/api/locks")).json["items"]
    assert (item["lockKey"], item["slots"], item["used"]) == ("customer-42", 1, 1)
    (held,) = item["holders"]
    assert (held["jobId"], held["slot"], held["leased"]) == (holder, 1, True)
    assert [job["jobId"] for job in item["waiters"]] == [waiter]


async def test_the_command_line_reads_what_the_api_answers(
    client: AsgiClient, backend: Backend, life: Life
) -> None:
    holder, _ = [await submit(client, lockKey="customer-42") for _ in range(2)]
    await life.start(holder, lock=key_lock("customer-42"))
    now = datetime.now(UTC)
    running = RunningJob(job_id=holder, job_name="n", started_at=now, lease_seconds_left=1 / 3)
    status = replace(a_worker(), running=(running,), schedules={"nightly": "0"})
    await backend.directory.beat(status)
    locks = await read_locks(
        locks=backend.locks, directory=backend.directory, reader=backend.reader
    )
    answered = (await client.get("/api/locks")).json
    assert [record.to_json() for record in locks] == answered["items"]
    assert answered["items"][0]["holders"][0]["heldSince"] == format_time(now)
    assert (await client.get("/api/workers")).json == {"items": [worker_json(status, now)]}
    record = await read_worker(
        status.worker_id,
        directory=backend.directory,
        reader=backend.reader,
        trail=backend.trail,
        now=now,
    )
    assert record.to_json() == (await client.get(f"/api/workers/{status.worker_id}")).json


async def test_locks_show_how_many_slots_are_used_and_by_whom(
    client: AsgiClient, backend: Backend, life: Life
) -> None:
    holders = [await submit(client, lockKey="printer", lockSlots=3) for _ in range(2)]
    for holder, lock in zip(holders, key_locks("printer", 3)[1:], strict=True):
        await backend.leases.create(lock)
        await backend.leases.acquire(lock, new_id(), 60)
        await life.start(holder, lock=lock)
    await backend.index.flush()
    (item,) = (await client.get("/api/locks")).json["items"]
    assert (item["lockKey"], item["slots"], item["used"]) == ("printer", 3, 2)
    assert [(held["jobId"], held["slot"]) for held in item["holders"]] == [
        (holders[0], 2),
        (holders[1], 3),
    ]
    page = (await client.get("/locks")).body.decode()
    assert "2 of 3" in page
    assert all(f'href="/jobs/{holder}"' in page for holder in holders)


async def test_a_submit_beside_open_jobs_of_other_slots_says_so(client: AsgiClient) -> None:
    body = {"type": "demo.steps", "lockKey": "printer"}
    first = (await client.post("/api/jobs", body | {"lockSlots": 3})).json
    assert first["warning"] is None
    second = (await client.post("/api/jobs", body | {"lockSlots": 5})).json
    assert "lockSlots 3, this one 5" in second["warning"]
    third = (await client.post("/api/jobs/bulk", {"jobs": [body]})).json["items"][0]
    assert "lockSlots 3, 5, this one 1" in third["warning"]
    events = (await client.get(f"/api/jobs/{second['jobId']}")).json["events"]
    assert events[0]["data"]["warning"] == second["warning"]


async def test_a_submit_that_names_a_limit_which_nobody_has_set_says_so(
    client: AsgiClient,
) -> None:
    await client.request("PUT", "/api/limits/known", body={"slots": 2})
    body = {"type": "demo.steps", "limits": ["known", "knwon"]}
    unset = (await client.post("/api/jobs", body)).json
    assert unset["warning"].startswith("limit knwon is not set, so the job waits")
    both = body | {"lockKey": "press"}
    await client.post("/api/jobs", {"type": "demo.steps", "lockKey": "press", "lockSlots": 3})
    warning = (await client.post("/api/jobs", both)).json["warning"]
    assert "lockSlots 3" in warning
    assert "knwon" in warning
    await client.request("DELETE", "/api/limits/known")
    known = body | {"limits": ["known"]}
    assert (await client.post("/api/jobs", known)).json["warning"] is None, "it limits nothing"


@pytest.mark.parametrize("slots", [0, 101, 1.5, "3"])
async def test_a_number_of_slots_that_does_not_fit_is_refused(
    client: AsgiClient, slots: object
) -> None:
    body = {"type": "demo.steps", "lockKey": "printer", "lockSlots": slots}
    answer = await client.post("/api/jobs", body)
    assert answer.status == 400
    assert "lockSlots" in answer.json["detail"]


async def test_slots_without_a_lock_key_are_refused(client: AsgiClient) -> None:
    answer = await client.post("/api/jobs", {"type": "demo.steps", "lockSlots": 2})
    assert answer.status == 400
    assert answer.json["detail"] == "lockSlots: needs a lockKey beside it"


async def test_dead_letters_list_messages_then_jobs_page_by_page(
    client: AsgiClient, backend: Backend, life: Life
) -> None:
    await backend.dead_letters.add(MalformedMessage(b"\xff{", "not JSON", "m-1"), datetime.now(UTC))
    job_id = await submit(client)
    await life.start(job_id)
    await life.fail(job_id, "no such column")
    first = (await client.get("/api/dead-letters", limit=1)).json
    assert (first["items"][0]["kind"], first["items"][0]["reason"]) == ("message", "not JSON")
    second = (await client.get("/api/dead-letters", limit=1, cursor=first["next"])).json
    assert (second["items"][0]["kind"], second["items"][0]["jobId"]) == ("job", job_id)
    assert (await client.get("/api/dead-letters", cursor="z")).json["field"] == "cursor"


async def test_stats_count_per_state_with_durations(client: AsgiClient, life: Life) -> None:
    job_id = await submit(client)
    await submit(client)
    await life.start(job_id)
    await life.complete(job_id)
    items = {item["state"]: item for item in (await client.get("/api/stats")).json["items"]}
    assert len(items) == 10
    assert (items["completed"]["count"], items["queued"]["count"]) == (1, 1)
    assert items["completed"]["meanDurationMs"] == 5
    assert items["running"]["perMinute"] is None


async def test_probes_answer(client: AsgiClient) -> None:
    assert (await client.get("/livez")).json == {"status": "alive"}
    ready = await client.get("/readyz")
    assert (ready.status, ready.json["status"]) == (200, "ready")
    assert all(check["ok"] for check in ready.json["checks"])


async def test_metrics_count_submitted_jobs_and_depths(client: AsgiClient) -> None:
    await submit(client)
    text = (await client.get("/metrics")).body.decode()
    assert "jobfleet_jobs_registered_total 1.0" in text
    assert 'jobfleet_queue_depth{lane="normal",queue="default"} 1.0' in text


class _Away:
    """A port whose server is away."""

    def __getattr__(self, name: str) -> object:
        async def refuse(*_: object, **__: object) -> None:
            raise BackendUnavailable("no answer from storage at http://127.0.0.1:10002")

        return refuse


async def test_a_backend_that_is_away_is_503_naming_what_and_comes_back(backend: Backend) -> None:
    away: Any = _Away()
    ports = ("reader", "trail", "directory", "queue", "index", "openings")
    client = client_of(replace(backend, **dict.fromkeys(ports, away)))
    for path in ("/api/jobs", f"/api/jobs/{new_id()}", "/api/workers", "/api/queues", "/api/stats"):
        answer = await client.get(path)
        assert (answer.status, answer.json["type"]) == (503, "backend-unavailable"), path
        assert "127.0.0.1:10002" in answer.json["detail"]
        assert answer.headers["retry-after"] == "5"
    assert (await client.post("/api/jobs", {"type": "a"})).status == 503
    assert (await client.get("/metrics")).status == 200


async def test_an_unready_backend_is_503_with_each_check(backend: Backend) -> None:
    async def refuse() -> None:
        raise BackendUnavailable("no answer")

    client = client_of(replace(backend, probe=refuse))  # type: ignore[arg-type]
    answer = await client.get("/readyz")
    assert (answer.status, answer.json["status"]) == (503, "not ready")


@pytest.mark.parametrize("path", ["/api/jobs", "/api/jobs/bulk"])
async def test_a_name_that_stands_twice_in_a_body_is_refused_by_its_name(
    client: AsgiClient, path: str
) -> None:
    job = b'{"type": "demo.steps", "payload": {"a": 1, "b": [{"size": 1, "size": 2}]}}'
    body = job if path == "/api/jobs" else b'{"jobs": [' + job + b"]}"
    answer = await client.request("POST", path, body=body)
    assert answer.status == 400
    assert answer.json["detail"] == "size occurs twice in one object; send it once"
    assert (await client.get("/api/jobs")).json["items"] == []
