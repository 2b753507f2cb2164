"""``jobfleet groups``: groups of jobs, and where they stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from jobfleet_cli.answer import print_json
from jobfleet_cli.answer_options import Json
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.job_source import JobOptions, jobs_from_file, read_payload
from jobfleet_cli.remote_dashboard import RemoteDashboard
from jobfleet_cli.session import Session, in_session, who
from jobfleet_cli.terminal_text import visible
from jobfleet_contracts.job import JobRequest
from jobfleet_protocol.actions.group_counts import member_id
from jobfleet_protocol.actions.groups import group_request

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="Submit groups of jobs, and show where they stand.",
)
MEMBERS_AT_ONCE = 500


@app.command()
def submit(
    file: Annotated[str, typer.Option(metavar="JSONL|-", help="One member's request per line.")],
    name: Annotated[str, typer.Option(help="Display name.")],
    key: Annotated[
        str,
        typer.Option(
            "--idempotency-key", metavar="K", help="Calls with the same key open one group."
        ),
    ],
    then: Annotated[
        str | None,
        typer.Option(metavar="JSON|@FILE", help='Jobs to submit after it: [{"type": "report"}].'),
    ] = None,
    on_failure: Annotated[
        str, typer.Option(help="continue, or hold: wait for members that did not complete.")
    ] = "continue",
    as_json: Json = False,
) -> None:
    """Open a group, submit its members and seal it; the same call again changes nothing."""
    jobs = jobs_from_file(file, JobOptions())
    steps = None if then is None else read_payload(then, option="--then")
    body = {"name": name, "onFailure": on_failure, "then": steps}
    body = {field: value for field, value in body.items() if value is not None}

    async def work(session: Session) -> int:
        return _said(await _submit_here(session, body, jobs, key), as_json=as_json)

    async def ask(dashboard: RemoteDashboard) -> int:
        return _said(await _submit_there(dashboard, body, jobs, key), as_json=as_json)

    raise typer.Exit(in_session(work, remote=ask))


@app.command()
def show(
    group: Annotated[str, typer.Argument(metavar="ID", help="The group's id.")],
    as_json: Json = False,
) -> None:
    """Print how many members of a group have ended, and how; exit 1 unless it completed."""

    async def work(session: Session) -> int:
        return _shown(await _standing(session, group), as_json=as_json)

    async def ask(dashboard: RemoteDashboard) -> int:
        return _shown(await dashboard.get(f"/api/groups/{group}"), as_json=as_json)

    raise typer.Exit(in_session(work, remote=ask))


async def _submit_here(
    session: Session, body: Mapping[str, Any], jobs: list[JobRequest], key: str
) -> dict[str, Any]:
    fields = {"jobName": body["name"], "then": body.get("then")}
    request = group_request(
        {name: value for name, value in fields.items() if value is not None},
        on_failure=body["onFailure"],
    )
    groups, patience = session.writes.groups, session.patience
    opened = await patience.ask(lambda: groups.open(request, idempotency_key=key, by=who()))
    for index, job in enumerate(jobs):
        await patience.ask(lambda i=index, j=job: groups.add(opened.job_id, i, j, by=who()))  # type: ignore[misc]
    state = await patience.ask(lambda: groups.seal(opened.job_id, len(jobs), by=who()))
    return {"groupId": opened.job_id, "state": state.value, "members": len(jobs)}


async def _submit_there(
    dashboard: RemoteDashboard, body: Mapping[str, Any], jobs: list[JobRequest], key: str
) -> dict[str, Any]:
    opened = await dashboard.post("/api/groups", body, headers={"Idempotency-Key": key})
    address = f"/api/groups/{opened['jobId']}"
    for first in range(0, len(jobs), MEMBERS_AT_ONCE):
        some = [_without_id(job) for job in jobs[first : first + MEMBERS_AT_ONCE]]
        await dashboard.post(f"{address}/members", {"first": first, "jobs": some})
    sealed = await dashboard.post(f"{address}/seal", {"total": len(jobs)})
    return {"groupId": opened["jobId"], "state": sealed["state"], "members": len(jobs)}


def _without_id(job: JobRequest) -> dict[str, Any]:
    said = job.to_json()
    del said["jobId"]
    return said


async def _standing(session: Session, group: str) -> dict[str, Any]:
    standing = await session.writes.groups.standing(group)
    head = standing.head
    return {
        "groupId": head.job_id,
        "name": head.facts.job_name,
        "state": head.after.state.value,
        "onFailure": standing.on_failure,
        "total": standing.total,
        "ended": standing.states.total(),
        "states": dict(sorted(standing.states.items())),
        "bad": [{"index": i, "jobId": member_id(head.job_id, i)} for i in standing.bad[:100]],
    }


def _said(done: Mapping[str, Any], *, as_json: bool) -> int:
    if as_json:
        print_json(done)
    else:
        print(f"{done['groupId']} {done['state']}, {done['members']} members")
    return ExitCode.DONE


def _shown(group: Mapping[str, Any], *, as_json: bool) -> int:
    code = ExitCode.DONE if group["state"] == "completed" else ExitCode.NO
    if as_json:
        print_json(group)
        return code
    total = (
        "not sealed" if group["total"] is None else f"{group['ended']} of {group['total']} ended"
    )
    states = ", ".join(f"{count} {state}" for state, count in group["states"].items())
    print(f"{visible(group['name'])}  {group['groupId']}  {group['state']}")
    print(f"  members   {total}" + (f": {states}" if states else ""))
    for member in group["bad"]:
        print(f"  not completed: member {member['index']}  {member['jobId']}")
    return code
