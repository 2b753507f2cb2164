"""``jobfleet jobs`` and ``jobfleet publish`` over the API of a dashboard elsewhere."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from jobfleet_cli.answer import print_json
from jobfleet_cli.exit_code import ExitCode, exit_code_of
from jobfleet_cli.job_history import print_job
from jobfleet_cli.job_list import print_jobs
from jobfleet_cli.remote_dashboard import RemoteDashboard
from jobfleet_cli.terminal_text import visible
from jobfleet_contracts.errors import BackendUnavailable, InvalidRequest, JobfleetError
from jobfleet_contracts.job import JobRequest
from jobfleet_protocol.reading.job_actions import JobAction

IDS_AT_ONCE = 1000
WAIT_SECONDS = 30
ASK_SECONDS = 0.5


async def list_jobs(
    dashboard: RemoteDashboard, fields: Mapping[str, str | None], *, as_json: bool, **page: Any
) -> ExitCode:
    """Print one page of jobs."""
    found = await dashboard.get("/api/jobs", view="jobs", **fields, **page)
    print_jobs(found, as_json=as_json)
    return ExitCode.DONE


async def show_job(dashboard: RemoteDashboard, job_id: str, *, as_json: bool) -> ExitCode:
    """Print one job with its history."""
    job = await dashboard.get(f"/api/jobs/{job_id}")
    if as_json:
        print_json(job)
    else:
        print_job(job, job["events"])
    return ExitCode.DONE


async def act_on_jobs(
    dashboard: RemoteDashboard,
    action: JobAction,
    *,
    ids: Sequence[str],
    fields: Mapping[str, str | None],
    expected: int | None,
    reason: str,
    as_json: bool,
) -> ExitCode:
    """Act on some jobs, or on as many as a filter must find; exit 1 if one was refused."""
    if not ids and expected is None:
        raise InvalidRequest(
            "--expected N: say how many jobs the filter must find; over JOBFLEET_URL there is "
            "no question to confirm",
            field="expected",
        )
    if reason and len(ids) == 1:
        path = f"/api/jobs/{ids[0]}/{action}"
        items = [await dashboard.post(path, {"reason": reason})]
    elif ids:
        items = []
        for start in range(0, len(ids), IDS_AT_ONCE):
            asked = {"action": action, "ids": list(ids[start : start + IDS_AT_ONCE])}
            items += (await dashboard.post("/api/jobs/actions", asked))["items"]
    else:
        chosen = {name: value for name, value in fields.items() if value is not None}
        filtered = {"action": action, "filter": chosen, "expected": expected}
        accepted = await dashboard.post("/api/jobs/actions", filtered)
        items = await _results(dashboard, accepted["statusUrl"])
    return max([_print_item(item, as_json=as_json) for item in items], default=ExitCode.DONE)


async def print_results(dashboard: RemoteDashboard, address: str, *, as_json: bool) -> ExitCode:
    """Wait until an action on many jobs has ended; exit 1 if one of them was refused."""
    items = await _results(dashboard, address)
    return max([_print_item(item, as_json=as_json) for item in items], default=ExitCode.DONE)


async def _results(dashboard: RemoteDashboard, address: str) -> list[Mapping[str, Any]]:
    """Wait until an action on many jobs has ended, and return what became of each of its jobs.

    The action goes on at the dashboard if this command is interrupted: ``/actions`` shows it.
    """
    while (await dashboard.get(address))["endedAt"] is None:  # noqa: ASYNC110 - it is elsewhere
        await asyncio.sleep(ASK_SECONDS)
    found: list[Mapping[str, Any]] = []
    cursor: str | None = None
    while True:
        page = await dashboard.get(f"{address}/results", cursor=cursor)
        found += page["items"]
        cursor = page["next"]
        if cursor is None:
            return found[::-1]


def _print_item(item: Mapping[str, Any], *, as_json: bool) -> ExitCode:
    error = item.get("error")
    if error is None:
        shown = {"jobId": item["jobId"], "state": item["state"]}
        print_json(shown) if as_json else print(f"{shown['jobId']} {shown['state']}", flush=True)
        return ExitCode.DONE
    detail = error if isinstance(error, str) else error["detail"]
    if as_json:
        print_json({"jobId": item["jobId"], "error": detail})
    else:
        print(visible(f"error: {detail}"), file=sys.stderr)
    return ExitCode.NO


async def publish(
    dashboard: RemoteDashboard,
    jobs: Sequence[JobRequest],
    *,
    idempotency_key: str | None,
    wait: bool,
    as_json: bool,
) -> ExitCode:
    """Submit each job, and wait for their ends where asked to."""
    code, accepted = ExitCode.DONE, []
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else None
    for job in jobs:
        body = job.to_json()
        if idempotency_key:
            body.pop("jobId", None)  # the key makes the id
        try:
            answer = await dashboard.post("/api/jobs", body, headers)
        except BackendUnavailable:
            raise
        except JobfleetError as error:
            code = max(code, exit_code_of(error))
            print(visible(f"error: {job.job_id}: {error}"), file=sys.stderr)
            continue
        accepted.append(answer["jobId"])
        _print_state(answer["jobId"], answer["state"], wait=wait, as_json=as_json)
    for job_id in accepted if wait else ():
        code = max(code, await _follow(dashboard, job_id, as_json=as_json))
    return code


async def _follow(dashboard: RemoteDashboard, job_id: str, *, as_json: bool) -> ExitCode:
    """Tell each new state of a job, and last how it ended."""
    shown = ""
    while True:
        job = await dashboard.get(f"/api/jobs/{job_id}", wait=WAIT_SECONDS)
        if job["completedAt"] is not None:
            break
        progress = f"{job_id} {job['state']} {job['events'][-1]['message']}".rstrip()
        if progress != shown and not as_json:
            print(visible(progress), file=sys.stderr, flush=True)
        shown = progress
    ended = {"jobId": job_id, "state": job["state"]}
    if as_json:
        print_json(ended | {"result": job["result"], "error": job["lastError"]})
    else:
        print(f"{job_id} {job['state']}", flush=True)
    return ExitCode.DONE if job["state"] == "completed" else ExitCode.NO


def _print_state(job_id: str, state: str, *, wait: bool, as_json: bool) -> None:
    """Print the id at once; a caller that waits gets its answer later."""
    file = sys.stderr if wait else sys.stdout
    if as_json and not wait:
        print_json({"jobId": job_id, "state": state})
    else:
        print(f"{job_id} {state}", file=file, flush=True)
