"""A fleet with long texts wherever somebody may choose one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.control import ControlSubject
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.message import MalformedMessage
from jobfleet_contracts.state import Status
from jobfleet_contracts.worker_status import WorkerStatus
from jobfleet_dashboard.services import Services
from jobfleet_protocol.actions.bulk_action import JobResult
from jobfleet_protocol.actions.group_counts import member_id
from jobfleet_protocol.reading.job_actions import JobAction
from jobfleet_protocol.trail.transitions import Change
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.life import WORKER, Life

LONG = "words and more words " * 1000
SHORT = "a few words " * 80
"""Almost as long as a reason may be."""
ENTRY = "a text of a payload " * 700
"""Almost as long as the declaration of a schedule may be."""
MANY = 12
_JOB = {"type": "echo", "payload": SHORT, "description": SHORT}


@dataclass(frozen=True)
class LongTexts:
    """Where the texts stand.

    Attributes:
        cursor: place in the timeline before all of them.
        deferred_id: a job that waits.
    """

    cursor: str
    job_id: str
    deferred_id: str
    group_id: str
    action_id: str

    def id_for(self, path: str) -> str:
        """Return the id that a route of this path shows most of."""
        if "/groups/" in path:
            return self.group_id
        if "/actions/{" in path:
            return self.action_id
        return self.deferred_id if path.endswith("/waiting") else self.job_id

    @classmethod
    async def made(cls, client: AsgiClient, backend: Backend) -> LongTexts:
        """Write them; none holds a credential, so that masking them is quick."""
        services: Services = client.app.state.services
        life = Life(backend)
        first = (await client.post("/api/jobs", {"type": "echo"})).json["jobId"]
        cursor = (await backend.reader.since(None))[-1].cursor
        await _fail_differently(client, life)
        await _write_control_log(client, services)
        for n in range(MANY):
            letter = MalformedMessage(body=(LONG if n == 0 else SHORT).encode(), reason=SHORT)
            await backend.dead_letters.add(letter, datetime.now(UTC))
        now = datetime.now(UTC)
        circuits = (SHORT,)
        worker = WorkerStatus(
            worker_id=WORKER, started_at=now, heartbeat_at=now, open_circuits=circuits
        )
        await backend.directory.beat(replace(worker, types=("echo",), queues=("default",)))
        await life.write(
            first,
            Change(kind=Status.STARTED, worker_id=WORKER, lock="job/x"),
            Change(kind=Status.DEFERRED, worker_id=WORKER, due_at=now, message=SHORT * 3),
        )
        return cls(
            cursor=cursor,
            job_id=await _worst_job(client, life),
            deferred_id=first,
            group_id=await _group(client, life),
            action_id=await _action(services),
        )


async def _fail_differently(client: AsgiClient, life: Life) -> None:
    made = (await client.post("/api/jobs/bulk", {"jobs": [_JOB] * MANY})).json["items"]
    for n, item in enumerate(made):
        await life.start(item["jobId"])
        error = {"type": f"Error{n}", "message": SHORT, "traceback": "…", "place": f"shop.n{n}"}
        await life.fail(item["jobId"], SHORT, error=error)


async def _worst_job(client: AsgiClient, life: Life) -> str:
    body = {"type": "echo", "payload": LONG, "maxAttempts": 50}
    job_id: str = (await client.post("/api/jobs", body)).json["jobId"]
    for _ in range(5):
        await life.start(job_id)
        await life.retry(job_id, SHORT)
    await life.start(job_id)
    await life.step(job_id, 1, message=SHORT)
    await life.fail(job_id, SHORT, response={"body": LONG})
    return job_id


async def _group(client: AsgiClient, life: Life) -> str:
    body = {"name": "imports", "then": [{"type": "report", "payload": LONG}]}
    group_id: str = (await client.post("/api/groups", body)).json["jobId"]
    members = {"first": 0, "jobs": [_JOB] * MANY}
    answer = await client.post(f"/api/groups/{group_id}/members", members)
    assert answer.status < 300, answer.body
    for n in range(MANY):
        await life.start(member_id(group_id, n))
        await life.fail(member_id(group_id, n), SHORT)
    return group_id


async def _write_control_log(client: AsgiClient, services: Services) -> None:
    by: dict[str, Any] = {"by": "ops", "reason": SHORT}
    for n in range(MANY):
        await services.pauses.pause(ControlSubject.QUEUE, f"queue-{n}", **by)
        await services.pauses.pause(ControlSubject.TYPE, f"type-{n}", **by)
        await services.limits.set(f"limit-{n}", slots=n + 1, rate=None, **by)
        await services.limits.set("nightly", slots=n + 1, rate=None, **by)
    for n in range(3):
        for name in ("nightly", f"other-{n}"):
            daily = {"type": "echo", "payload": f"{n}{ENTRY}", "cron": "0 0 29 2 *"}
            answer = await client.request(
                "PUT", f"/api/schedules/{name}", body=daily | {"timezone": "Europe/Berlin"}
            )
            assert answer.status < 300, answer.body
    answer = await client.post("/api/schedules/nightly/pause", {"reason": SHORT})
    assert answer.status < 300, answer.body


async def _action(services: Services) -> str:
    job_ids = [new_id() for _ in range(MANY)]
    before = await services.bulk.accept(
        JobAction.CANCEL, job_ids, by="ops", reason=SHORT, scope=SHORT
    )
    for n in range(0, MANY, 4):
        results = [JobResult(one, None, SHORT) for one in job_ids[n : n + 4]]
        after = replace(before, next=n + 4, refused=n + 4)
        assert await services.bulk.advance(before, after, results) is not None
        before = after
    return before.action_id
