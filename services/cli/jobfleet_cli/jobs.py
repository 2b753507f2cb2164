"""``jobfleet jobs``: list, show, watch, logs, cancel, redrive, dismiss, erase."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

import typer

from jobfleet_cli import remote_jobs
from jobfleet_cli.answer_options import Cursor, Json, Limit
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.job_action import ActionRun
from jobfleet_cli.job_filter import JobFilter
from jobfleet_cli.job_history import show_job
from jobfleet_cli.job_list import list_jobs
from jobfleet_cli.job_logs import RemoteLog, StoredLog, print_logs
from jobfleet_cli.job_selection import JobSelection
from jobfleet_cli.list_file import (
    Export,
    FileForm,
    Out,
    check_export,
    fetch_lines,
    write_lines,
)
from jobfleet_cli.pause_commands import pauses_of
from jobfleet_cli.remote_dashboard import RemoteDashboard
from jobfleet_cli.session import Session, in_session, who
from jobfleet_cli.trail_reading import known_form
from jobfleet_contracts.state import State
from jobfleet_protocol.reading.job_actions import JobAction
from jobfleet_protocol.reading.list_export import JOBS

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="List, show, watch, cancel, redrive, dismiss and erase jobs, and read their logs.",
)

LINES = {FileForm.CSV: JOBS.csv_lines, FileForm.JSON_LINES: JOBS.json_lines}

JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id.")]
States = Annotated[
    list[State] | None, typer.Option("--state", help="Only these states; may be repeated.")
]
Type = Annotated[str | None, typer.Option("--type", help="Only this type.")]
Queue = Annotated[str | None, typer.Option("--queue", help="Only this queue.")]
Text = Annotated[
    str | None,
    typer.Option(
        "--q", "-q", help="A search, as 'type:crm.* -state:completed error:quota any text'."
    ),
]
LockKey = Annotated[str | None, typer.Option("--lock-key", help="Only this lock key.")]
Since = Annotated[str | None, typer.Option(metavar="T", help="Changed at or after this time.")]
Until = Annotated[str | None, typer.Option(metavar="T", help="Changed before this time.")]
Ids = Annotated[
    list[str] | None, typer.Argument(metavar="ID", help="The jobs' ids; or give a filter.")
]
Expected = Annotated[
    int | None,
    typer.Option(min=0, metavar="N", help="How many jobs the filter must find; else it asks."),
]
Reason = Annotated[str, typer.Option(help="Recorded in the audit trail.")]
NeededReason = Annotated[
    str, typer.Option("--reason", help="Recorded in the audit trail, and stays there.")
]


@app.command(name="list")
def list_(
    state: States = None,
    type_: Type = None,
    queue: Queue = None,
    q: Text = None,
    lock_key: LockKey = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: Json = False,
    export: Export = None,
    out: Out = None,
) -> None:
    """Print jobs, last changed first, with their current state."""
    check_export(export, out, cursor=cursor, as_json=as_json)
    chosen = JobFilter(state, type_, queue, q, lock_key, since, until)
    query = chosen.query(limit=limit, cursor=cursor)

    async def ask(dashboard: RemoteDashboard) -> int:
        if export is not None:
            return await fetch_lines(dashboard, f"/api/jobs/export.{export}", chosen.fields(), out)
        page = {"limit": limit, "cursor": cursor}
        return await remote_jobs.list_jobs(dashboard, chosen.fields(), as_json=as_json, **page)

    def work(session: Session) -> Awaitable[int]:
        if export is not None:
            return write_lines(LINES[export](session.backend.reader, query), out)
        return list_jobs(session, query, as_json=as_json)

    raise typer.Exit(in_session(work, remote=ask))


@app.command()
def show(job_id: JobId, as_json: Json = False) -> None:
    """Print a job with its complete history."""

    def work(session: Session) -> Awaitable[int]:
        return show_job(session, job_id, as_json=as_json)

    async def ask(dashboard: RemoteDashboard) -> int:
        return await remote_jobs.show_job(dashboard, known_form(job_id), as_json=as_json)

    raise typer.Exit(in_session(work, remote=ask))


@app.command()
def watch(
    job_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="Only this job, until it ends.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line per event.")] = False,
) -> None:
    """Print events as they happen; for one job until it ends (exit 1 unless completed)."""
    from jobfleet_cli.fleet_source import Fleet, FleetHere
    from jobfleet_cli.job_watch import watch_fleet, watch_job
    from jobfleet_cli.remote_fleet import FleetThere

    async def look(fleet: Fleet) -> int:
        if job_id is None:
            return await watch_fleet(fleet, as_json=as_json)
        return await watch_job(fleet, known_form(job_id), as_json=as_json)

    def work(session: Session) -> Awaitable[int]:
        return look(FleetHere(session))

    def ask(dashboard: RemoteDashboard) -> Awaitable[int]:
        return look(FleetThere(dashboard))

    try:
        raise typer.Exit(in_session(work, remote=ask))
    except KeyboardInterrupt:
        raise typer.Exit from None


@app.command()
def logs(
    job_id: JobId,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print new lines until the job has ended.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line per log line.")] = False,
) -> None:
    """Print what the handler of a job logged, attempt after attempt."""

    def work(session: Session) -> Awaitable[int]:
        return print_logs(StoredLog(session, job_id), follow=follow, as_json=as_json)

    async def ask(dashboard: RemoteDashboard) -> int:
        return await print_logs(RemoteLog(dashboard, job_id), follow=follow, as_json=as_json)

    try:
        raise typer.Exit(in_session(work, remote=ask))
    except KeyboardInterrupt:
        raise typer.Exit from None


def _without_reason(action: JobAction) -> Callable[..., None]:
    def act(
        ids: Ids = None,
        state: States = None,
        type_: Type = None,
        queue: Queue = None,
        q: Text = None,
        lock_key: LockKey = None,
        since: Since = None,
        until: Until = None,
        expected: Expected = None,
        as_json: Json = False,
    ) -> None:
        chosen = JobFilter(state, type_, queue, q, lock_key, since, until)
        _act(action, ids, chosen, expected, as_json=as_json)

    return act


@app.command()
def cancel(
    ids: Ids = None,
    state: States = None,
    type_: Type = None,
    queue: Queue = None,
    q: Text = None,
    lock_key: LockKey = None,
    since: Since = None,
    until: Until = None,
    expected: Expected = None,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Cancel jobs: running ones are told to stop, all others end at once."""
    chosen = JobFilter(state, type_, queue, q, lock_key, since, until)
    _act(JobAction.CANCEL, ids, chosen, expected, reason, as_json=as_json)


@app.command(name="run-anyway")
def run_anyway(job_id: JobId, reason: Reason = "") -> None:
    """Let one job start once though its queue or type is paused."""

    async def work(session: Session) -> int:
        pauses = pauses_of(session)
        trail = session.backend.trail
        await pauses.run_job_anyway(job_id, trail=trail, by=who(), reason=reason)
        return ExitCode.DONE

    async def ask(dashboard: RemoteDashboard) -> int:
        await dashboard.post(f"/api/jobs/{known_form(job_id)}/run-anyway", {"reason": reason})
        return ExitCode.DONE

    raise typer.Exit(in_session(work, remote=ask))


@app.command()
def erase(job_id: JobId, reason: NeededReason, as_json: Json = False) -> None:
    """Erase the values of an ended job and of jobs made from it, in an hour; events stay."""
    from jobfleet_cli.erasure import erase_job, erase_remotely

    async def work(session: Session) -> int:
        return await erase_job(session, job_id, reason, as_json=as_json)

    async def ask(dashboard: RemoteDashboard) -> int:
        return await erase_remotely(dashboard, job_id, reason, as_json=as_json)

    raise typer.Exit(in_session(work, remote=ask))


REDRIVE_HELP = "Put ended jobs that did not complete back into the queue, with fresh attempts."
DISMISS_HELP = "Take failed jobs off the dead-letter list; they stay in the trail."
app.command(name="redrive", help=REDRIVE_HELP)(_without_reason(JobAction.REDRIVE))
app.command(name="dismiss", help=DISMISS_HELP)(_without_reason(JobAction.DISMISS))


def _act(
    action: JobAction,
    ids: Sequence[str] | None,
    chosen: JobFilter,
    expected: int | None,
    reason: str = "",
    *,
    as_json: bool,
) -> None:
    selection = JobSelection(action=action, ids=ids or (), query=chosen.query(), expected=expected)
    selection.check()
    run = ActionRun(action=action, selection=selection, reason=reason, as_json=as_json)

    async def ask(dashboard: RemoteDashboard) -> int:
        return await remote_jobs.act_on_jobs(
            dashboard,
            action,
            ids=[known_form(job_id) for job_id in ids or ()],
            fields=chosen.fields(),
            expected=expected,
            reason=reason,
            as_json=as_json,
        )

    raise typer.Exit(in_session(run.run, remote=ask))
