"""``jobfleet groups``: groups of jobs, and where they stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from jobfleet_cli.answer import print_json
from jobfleet_cli.answer_options import Json
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.job_action import ActionRun
from jobfleet_cli.job_selection import JobSelection
from jobfleet_cli.job_source import JobOptions, jobs_from_file, read_payload
from jobfleet_cli.remote_dashboard import RemoteDashboard
from jobfleet_cli.remote_jobs import print_results
from jobfleet_cli.session import Session, in_session, who
from jobfleet_cli.terminal_text import visible
from jobfleet_cli.trail_reading import known_form
from jobfleet_contracts.errors import ActionRefused
from jobfleet_contracts.job import JobRequest
from jobfleet_protocol.actions.group_counts import MOST_MEMBERS, member_id
from jobfleet_protocol.actions.groups import group_request
from jobfleet_protocol.reading.group_reader import MEMBER_STATES, GroupReader
from jobfleet_protocol.reading.job_actions import JobAction

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="Submit groups of jobs, show where they stand, cancel and redrive them.",
)
MEMBERS_AT_ONCE = 500
GroupId = Annotated[str, typer.Argument(metavar="ID", help="The group's id.")]
Reason = Annotated[str, typer.Option(help="Recorded in the trail of each job.")]


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
        str,
        typer.Option(
            help="When a member fails: continue (default) runs the others; hold also waits until "
            "the member is redriven or dismissed; cancel cancels the others."
        ),
    ] = "continue",
    as_json: Json = False,
) -> None:
    """Open a group, submit its members and seal it; the same call again changes nothing."""
    jobs = jobs_from_file(file, JobOptions())
    steps = None if then is None else read_payload(then, option="--then")
    body = {"name": name, "onFailure": on_failure, "then": steps}
    body = {field: value for field, value in body.items() if value is not None}

    async def work(session: Session) -> int:
        return _print_answer(await _submit_here(session, body, jobs, key), as_json=as_json)

    async def ask(dashboard: RemoteDashboard) -> int:
        return _print_answer(await _submit_there(dashboard, body, jobs, key), as_json=as_json)

    raise typer.Exit(in_session(work, remote=ask))


@app.command()
def show(
    group: GroupId,
    as_json: Json = False,
) -> None:
    """Print how many members of a group have ended, and how; exit 1 unless it completed."""

    async def work(session: Session) -> int:
        return await show_group(session, group, as_json=as_json)

    async def ask(dashboard: RemoteDashboard) -> int:
        return _shown(await dashboard.get(f"/api/groups/{known_form(group)}"), as_json=as_json)

    raise typer.Exit(in_session(work, remote=ask))


@app.command()
def members(
    group: GroupId,
    state: Annotated[
        str | None, typer.Option(help=f"Only these: {', '.join(MEMBER_STATES)}.")
    ] = None,
    cursor: Annotated[
        str | None, typer.Option(help="Go on from this cursor of the page before.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    as_json: Json = False,
) -> None:
    """Print a page of the members of a group, in their order."""

    async def work(session: Session) -> int:
        reader = _reader(session)
        page = await reader.members(known_form(group), state=state, cursor=cursor, limit=limit)
        found = {"items": [one.to_json() for one in page.items], "next": page.next}
        return _listed(found, as_json=as_json)

    async def ask(dashboard: RemoteDashboard) -> int:
        fields = {"state": state, "cursor": cursor, "limit": limit}
        address = f"/api/groups/{known_form(group)}/members"
        return _listed(await dashboard.get(address, **fields), as_json=as_json)

    raise typer.Exit(in_session(work, remote=ask))


@app.command()
def cancel(group: GroupId, reason: Reason = "", as_json: Json = False) -> None:
    """Cancel a group and its members; it ends when they have ended."""
    _act(group, JobAction.CANCEL, reason, as_json=as_json)


@app.command()
def redrive(group: GroupId, reason: Reason = "", as_json: Json = False) -> None:
    """Redrive the members of a group that did not complete; exit 1 if one was refused."""
    _act(group, JobAction.REDRIVE, reason, as_json=as_json)


def _act(group: str, action: JobAction, reason: str, *, as_json: bool) -> None:
    group_id = known_form(group)

    async def work(session: Session) -> int:
        record = await _reader(session).read(group_id, most_bad=MOST_MEMBERS)
        if action not in record.actions:
            raise ActionRefused(
                f"group {group_id} is {record.job.newest.after.state.value}: "
                f"there is nothing to {action}"
            )
        bad = [member_id(group_id, index) for index in record.bad]
        ids = [group_id] if action is JobAction.CANCEL else bad
        selection = JobSelection(action=action, ids=ids)
        run = ActionRun(action=action, selection=selection, reason=reason, as_json=as_json)
        return await run.run(session)

    async def ask(dashboard: RemoteDashboard) -> int:
        address = f"/api/groups/{group_id}/{action}"
        accepted = await dashboard.post(address, {"reason": reason})
        return await print_results(dashboard, accepted["statusUrl"], as_json=as_json)

    raise typer.Exit(in_session(work, remote=ask))


async def show_group(session: Session, group: str, *, as_json: bool) -> int:
    """Print where a group stands, as the REST API gives it or to read; exit 1 unless completed."""
    return _shown((await _reader(session).read(known_form(group))).to_json(), as_json=as_json)


def _reader(session: Session) -> GroupReader:
    backend = session.backend
    return GroupReader(
        trail=backend.trail, payloads=backend.payloads, marks=backend.marks, coder=backend.coder
    )


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
    fields = job.to_json()
    del fields["jobId"]
    return fields


def _print_answer(done: Mapping[str, Any], *, as_json: bool) -> int:
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
    if group["cancelRequested"]:
        print("  its cancel was asked for")
    if group["memberOf"] is not None:
        print(f"  member    {group['memberOf']['index']} of group {group['memberOf']['groupId']}")
    for step in group["successors"]:
        print(f"  then      {visible(step['type'])}  {step['jobId'] or '-'}  on {step['when']}")
    for member in group["bad"]:
        print(f"  not completed: member {member['index']}  {member['jobId']}")
    return code


def _listed(page: Mapping[str, Any], *, as_json: bool) -> int:
    if as_json:
        print_json(page)
        return ExitCode.DONE
    for member in page["items"]:
        state, name = member["state"] or "-", visible(member["jobName"] or member["message"])
        print(f"{member['index']:>6}  {member['jobId']}  {state:<9}  {name}")
    if page["next"] is not None:
        print(f"more: --cursor {page['next']}")
    return ExitCode.DONE
