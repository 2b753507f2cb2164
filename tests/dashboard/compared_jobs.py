"""Jobs of every kind, brought into every state: what all surfaces must show alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.codec import encode
from jobfleet_contracts.event import Event
from jobfleet_contracts.lease import job_lock
from jobfleet_contracts.state import Status
from jobfleet_dashboard.services import Services
from jobfleet_protocol.actions.final_result import callback_job_id
from jobfleet_protocol.actions.group_cancel_job import group_cancel_id
from jobfleet_protocol.actions.group_counts import member_id
from jobfleet_protocol.actions.successors import successor_id
from jobfleet_protocol.trail.transitions import Change
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.life import WORKER, Life
from tests.dashboard.api.test_jobs import submit

KINDS: dict[str, dict[str, Any]] = {
    "steps": {"type": "demo.steps", "payload": {"steps": 2}},
    "http": {
        "type": "http.request",
        "payload": {"targetUrl": "https://a.example/?sig=x", "headers": {"X-Api-Key": "k"}},
    },
    "large": {"type": "report", "payload": {"text": "x" * 40_000}},
    "full": {
        "type": "report",
        "jobName": "all fields",
        "description": "d",
        "payload": [1],
        "inputFilePath": "/a",
        "processingParameters": {"token": "t"},
        "priority": 9,
        "queue": "reports",
        "runAt": "2020-01-01T00:00:00Z",
        "lockKey": "l",
        "lockSlots": 2,
        "limits": ["api"],
        "onLost": "retry",
        "maxTakeovers": 3,
        "callbackUrl": "https://a.example/cb",
        "maxAttempts": 4,
        "retryDelaySeconds": 7,
        "timeoutSeconds": 5,
        "context": {"headers": {"cookie": "c"}},
        "then": [{"type": "mail", "payload": {}, "results": {"report": "previous"}}],
    },
    "external": {"type": "external.call", "payload": {"targetUrl": "https://a.example/"}},
}
"""Jobs that a program submits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A fleet with a dashboard and no worker."""

    backend: Backend
    client: AsgiClient
    services: Services
    life: Life

    async def submitted(self, **fields: Any) -> str:
        return await submit(self.client, **fields)

    async def concluded(self, head: Event) -> None:
        """Do what follows a job's end, as its worker would."""
        await self.services.writes.ending.conclude(head)

    async def opened_group(self, members: int = 1, **fields: Any) -> str:
        opened = await self.client.post("/api/groups", {"name": "imports", **fields})
        assert opened.status == 202, opened.body
        group: str = opened.json["jobId"]
        jobs = [{"type": "demo.steps"}] * members
        path = f"/api/groups/{group}/members"
        assert (await self.client.post(path, {"first": 0, "jobs": jobs})).status == 202
        return group

    async def seal(self, group: str, members: int) -> None:
        path = f"/api/groups/{group}/seal"
        assert (await self.client.post(path, {"total": members})).status == 202


async def _member(site: Site) -> str:
    return member_id(await site.opened_group(), 0)


async def _member_group(site: Site) -> str:
    parent = await site.opened_group()
    body = {"name": "inner", "memberOf": {"groupId": parent, "index": 1}}
    return str((await site.client.post("/api/groups", body)).json["jobId"])


async def _successor(site: Site) -> str:
    first = await site.submitted(then=[{"type": "mail", "results": {"report": "previous"}}])
    await site.life.start(first)
    await site.concluded(await site.life.complete(first, {"rows": 3}))
    return successor_id(first, 0, 1)


async def _delivery(site: Site) -> str:
    first = await site.submitted(callbackUrl="https://a.example/cb?sig=x")
    await site.life.start(first)
    await site.concluded(await site.life.complete(first, {"rows": 3}))
    return callback_job_id(first, 1)


async def _group_cancel(site: Site) -> str:
    group = await site.opened_group()
    assert (await site.client.post(f"/api/jobs/{group}/cancel")).status == 202
    head = await site.backend.trail.newest(group)
    assert head is not None
    await site.services.writes.ending.end_group_if_due(head)
    return group_cancel_id(group, None)


async def _scheduled_job(site: Site) -> str:
    body = {"type": "report", "cron": "0 6 * * *", "payload": {"token": "t"}}
    assert (await site.client.request("PUT", "/api/schedules/daily", body=body)).status == 200
    return (await site.services.schedules.run("daily", by="anna")).job_id


MADE: dict[str, Callable[[Site], Awaitable[str]]] = {
    "member": _member,
    "successor": _successor,
    "delivery": _delivery,
    "group cancel": _group_cancel,
    "of a schedule": _scheduled_job,
}
"""Jobs that jobfleet makes. Each function makes one and returns its id."""


async def _queued(life: Life, job_id: str) -> None:
    pass


async def _running(life: Life, job_id: str) -> None:
    await life.start(job_id)
    await life.step(job_id, 1, of=2, checkpoint={"at": 1})


async def _deferred(life: Life, job_id: str) -> None:
    await life.start(job_id)
    await life.write(job_id, Change(kind=Status.DEFERRED, worker_id=WORKER, due_at=_in_a_minute()))


async def _waiting(life: Life, job_id: str) -> None:
    await life.start(job_id)
    waiting = Change(
        kind=Status.WAITING, worker_id=WORKER, due_at=_in_a_minute(), lock=job_lock(job_id)
    )
    await life.write(job_id, waiting)


async def _retrying(life: Life, job_id: str) -> None:
    await life.start(job_id)
    await life.retry(job_id)


async def _completed(life: Life, job_id: str) -> None:
    await life.start(job_id)
    await life.complete(job_id, {"statusCode": 200, "text": "y" * 40_000})


async def _failed(life: Life, job_id: str) -> None:
    await life.start(job_id)
    await life.fail(job_id)


async def _timed_out(life: Life, job_id: str) -> None:
    await life.start(job_id)
    await life.write(job_id, Change(kind=Status.TIMED_OUT, worker_id=WORKER, message="too slow"))


async def _cancelled(life: Life, job_id: str) -> None:
    await life.write(job_id, Change(kind=Status.CANCELLED, message="by somebody"))


async def _redriven(life: Life, job_id: str) -> None:
    await _failed(life, job_id)
    await life.write(job_id, Change(kind=Status.REDRIVEN, max_attempts=3))


STATES: dict[str, Callable[[Life, str], Awaitable[None]]] = {
    "queued": _queued,
    "running": _running,
    "deferred": _deferred,
    "waiting": _waiting,
    "retrying": _retrying,
    "completed": _completed,
    "failed": _failed,
    "timedOut": _timed_out,
    "cancelled": _cancelled,
    "redriven": _redriven,
    "scheduled": _queued,
}


async def _sent(site: Site, job_id: str) -> None:
    await _waiting(site.life, job_id)
    response = {"statusCode": 202, "headers": {"set-cookie": "c"}, "body": {"token": "t"}}
    step = Change(
        kind=Status.STEP,
        step=1,
        worker_id=WORKER,
        sent=True,
        message="sent to https://a.example/?sig=x",
        data={"step": 1, "response": response},
    )
    await site.life.write(job_id, step)


async def _answered(site: Site, job_id: str, **fields: Any) -> None:
    await _sent(site, job_id)
    await site.services.callbacks.receive(job_id, 1, encode({"jobId": job_id, **fields}))


async def _answered_well(site: Site, job_id: str) -> None:
    payload = {"rows": 3, "token": "t", "text": "y" * 40_000}
    await _answered(site, job_id, status="completed", message="done", payload=payload)


async def _answered_badly(site: Site, job_id: str) -> None:
    error = {"type": "Refused", "message": "password=p", "traceback": "line 1"}
    await _answered(site, job_id, status="failed", error=error, payload={"token": "t"})


async def _answered_cancelled(site: Site, job_id: str) -> None:
    await _answered(site, job_id, status="cancelled", message="by the third party")


async def _refused(site: Site, job_id: str) -> None:
    await _sent(site, job_id)
    await site.services.callbacks.note_refusal(job_id, 1, "0" * 64, "status: must be known")


async def _unanswered(site: Site, job_id: str) -> None:
    await _sent(site, job_id)
    await site.life.write(job_id, Change(kind=Status.TIMED_OUT, message="no answer came"))


ANSWERS: dict[str, tuple[str, Callable[[Site, str], Awaitable[None]]]] = {
    "sent": ("waiting", _sent),
    "answer refused": ("waiting", _refused),
    "answered": ("completed", _answered_well),
    "answered with a failure": ("failed", _answered_badly),
    "answered with a cancel": ("cancelled", _answered_cancelled),
    "never answered": ("timedOut", _unanswered),
}
"""What becomes of a job that waits for a third party, each with its state."""


async def _open(site: Site) -> str:
    return await site.opened_group(
        then=[{"type": "report"}], callbackUrl="https://a.example/cb?sig=x"
    )


async def _sealed(site: Site) -> str:
    group = await site.opened_group(2)
    await site.seal(group, 2)
    await _end(site, group, fails=False)
    return group


async def _held(site: Site) -> str:
    group = await site.opened_group(onFailure="hold")
    await site.seal(group, 1)
    await _end(site, group, fails=True)
    return group


async def _cancelling(site: Site) -> str:
    group = await site.opened_group()
    assert (await site.client.post(f"/api/jobs/{group}/cancel")).status == 202
    return group


async def _group_completed(site: Site) -> str:
    group = await site.opened_group(
        then=[{"type": "report"}], callbackUrl="https://a.example/cb?sig=x"
    )
    await site.seal(group, 1)
    await _end(site, group, fails=False)
    return group


async def _group_failed(site: Site) -> str:
    group = await site.opened_group(then=[{"type": "report", "when": "failure"}])
    await site.seal(group, 1)
    await _end(site, group, fails=True)
    return group


async def _group_cancelled(site: Site) -> str:
    group = await _cancelling(site)
    await site.seal(group, 1)
    await _end(site, group, fails=True)
    return group


async def _end(site: Site, group: str, *, fails: bool) -> None:
    """End the first member."""
    job_id = member_id(group, 0)
    await site.life.start(job_id)
    ended = await (site.life.fail(job_id) if fails else site.life.complete(job_id))
    await site.concluded(ended)


GROUPS: dict[str, tuple[str, Callable[[Site], Awaitable[str]]]] = {
    "open": ("waiting", _open),
    "sealed": ("waiting", _sealed),
    "held": ("waiting", _held),
    "cancel requested": ("waiting", _cancelling),
    "member of a group": ("waiting", _member_group),
    "completed": ("completed", _group_completed),
    "failed": ("failed", _group_failed),
    "cancelled": ("cancelled", _group_cancelled),
}
"""Groups of jobs, each with its state."""


def _in_a_minute() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=60)
