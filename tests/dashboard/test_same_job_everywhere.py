"""A job is the same JSON from API, command line, export and page model, in every kind and state."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from jobfleet_backends.system_clock import SystemClock
from jobfleet_cli.job_history import show_job
from jobfleet_cli.trail_export import TrailExport
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.state import State, Status
from jobfleet_dashboard.services import services_of
from jobfleet_dashboard.views.job.job_view import read_job_view
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
_MADE_BY_JOBFLEET = {"jobId", "createdAt", "follows", "results", "member"}


def test_one_kind_has_every_field_of_a_request() -> None:
    fields = {str(field.alias) for field in JobRequest.model_fields.values()}
    assert set(KINDS["full"]) == fields - _MADE_BY_JOBFLEET


async def _queued(life: Life, job_id: str) -> None:
    pass


async def _running(life: Life, job_id: str) -> None:
    await life.start(job_id)
    await life.step(job_id, 1, of=2, checkpoint={"at": 1})


async def _deferred(life: Life, job_id: str) -> None:
    await life.start(job_id)
    due = datetime.now(UTC) + timedelta(seconds=60)
    await life.write(job_id, Change(kind=Status.DEFERRED, worker_id=WORKER, due_at=due))


async def _waiting(life: Life, job_id: str) -> None:
    await life.start(job_id)
    due = datetime.now(UTC) + timedelta(seconds=60)
    await life.write(
        job_id, Change(kind=Status.WAITING, worker_id=WORKER, due_at=due, lock=f"job/{job_id}")
    )


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


def test_every_state_is_compared() -> None:
    assert {state.value for state in State} <= STATES.keys()


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_job_is_the_same_from_api_command_line_export_and_page(
    backend: Backend,
    client: AsgiClient,
    life: Life,
    kind: str,
    state: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    later = {"runAt": "2099-01-01T00:00:00Z"} if state == "scheduled" else {}
    job_id = await submit(client, **KINDS[kind] | later)
    await STATES[state](life, job_id)

    from_api = (await client.get(f"/api/jobs/{job_id}")).json
    session: Any = SimpleNamespace(backend=backend, clock=SystemClock())
    await show_job(session, job_id, as_json=True)
    from_command = json.loads(capsys.readouterr().out.splitlines()[-1])
    request: Any = SimpleNamespace(app=client.app)
    view = await read_job_view(services_of(request), job_id)
    from_page = orjson.loads(orjson.dumps(view.record.to_json()))

    assert from_api["state"] == ("queued" if state == "redriven" else state)
    for field in from_api:
        assert from_command[field] == from_api[field], field
        assert from_page[field] == from_api[field], field
    assert from_command.keys() == from_api.keys() == from_page.keys()

    out = tmp_path / "export.jsonl"
    await TrailExport(job_id=job_id, out=out, raw=False).run(session)
    exported = [orjson.loads(line) for line in out.read_bytes().splitlines()]
    for line, event in zip(exported, from_api["events"], strict=True):
        whole = event["data"].keys() != {"blob", "size"}
        assert {name: line[name] for name in event} | {"data": event["data"]} == event
        assert line["data"] == event["data"] or not whole


async def test_allowed_actions_are_those_that_the_protocol_accepts(
    backend: Backend, client: AsgiClient, life: Life
) -> None:
    from jobfleet_contracts.errors import ActionRefused
    from jobfleet_protocol.reading.job_actions import JobAction, actions_for

    request: Any = SimpleNamespace(app=client.app)
    writes = services_of(request).writes
    for reach in STATES.values():
        for action in JobAction:
            job_id = await submit(client, type="demo.steps")
            await reach(life, job_id)
            head = await backend.trail.newest(job_id)
            assert head is not None
            offered = action in actions_for(head)
            try:
                match action:
                    case JobAction.CANCEL:
                        await writes.canceller.cancel(job_id, by=None, reason="")
                    case JobAction.REDRIVE:
                        await writes.redriver.redrive(job_id, by=None)
                    case JobAction.DISMISS:
                        await writes.redriver.dismiss(job_id, by=None)
                accepted = True
            except ActionRefused:
                accepted = False
            assert accepted == offered, f"{action} of {head.after.state}"
