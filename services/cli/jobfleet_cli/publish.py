"""``jobfleet publish``: the publisher console, or jobs from options and files."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.job_source import JobOptions, jobs_from_file, jobs_from_options
from jobfleet_cli.remote_dashboard import RemoteDashboard
from jobfleet_cli.request_options import (
    Description,
    Limits,
    LockKey,
    LockSlots,
    MaxAttempts,
    MaxTakeovers,
    Name,
    OnLost,
    Payload,
    Priority,
    Queue,
    Timeout,
)
from jobfleet_cli.session import in_session
from jobfleet_cli.submission_run import SubmissionRun, run_console

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def publish(  # noqa: PLR0917 - typer calls it by name
    ctx: typer.Context,
    type_: Annotated[str | None, typer.Option("--type", help="Which handler runs it.")] = None,
    payload: Payload = None,
    name: Name = None,
    description: Description = None,
    priority: Priority = None,
    queue: Queue = None,
    lock_key: LockKey = None,
    lock_slots: LockSlots = None,
    limits: Limits = None,
    delay: Annotated[float | None, typer.Option(metavar="S", help="Start in S seconds.")] = None,
    run_at: Annotated[
        str | None, typer.Option(metavar="T", help="Start at this time: 2026-01-31T09:30:00Z.")
    ] = None,
    max_attempts: MaxAttempts = None,
    on_lost: OnLost = None,
    max_takeovers: MaxTakeovers = None,
    timeout: Timeout = None,
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="K", help="Submits with the same key make one job.")
    ] = None,
    then: Annotated[
        str | None,
        typer.Option(metavar="JSON|@FILE", help='Jobs to submit after it: [{"type": "report"}].'),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="How many such jobs to submit.")] = 1,
    file: Annotated[
        str | None, typer.Option(metavar="JSONL|-", help="One job request per line.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for all to end; exit 1 unless all completed.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line per job.")] = False,
) -> None:
    """Submit jobs. On a terminal without options: any key submits one random test job, q quits.

    Prints one line per job: its id and state; with --wait the state in which it ended.
    """
    options = JobOptions(
        type=type_,
        payload=payload,
        job_name=name,
        description=description,
        priority=priority,
        queue=queue,
        lock_key=lock_key,
        lock_slots=lock_slots,
        limits=limits or None,
        delay=delay,
        run_at=run_at,
        max_attempts=max_attempts,
        on_lost=on_lost,
        max_takeovers=max_takeovers,
        timeout_seconds=timeout,
        idempotency_key=idempotency_key,
        then=then,
    )
    if file is None and options.empty:
        _without_options(ctx, bare=count == 1 and not wait and not as_json)
        return
    jobs = (
        jobs_from_options(options, count) if file is None else jobs_from_file(file, options, count)
    )
    run = SubmissionRun(
        jobs=jobs, idempotency_key=options.idempotency_key, wait=wait, as_json=as_json
    )

    async def ask(dashboard: RemoteDashboard) -> int:
        from jobfleet_cli import remote_jobs

        return await remote_jobs.publish(
            dashboard,
            jobs,
            idempotency_key=options.idempotency_key,
            wait=wait,
            as_json=as_json,
        )

    raise typer.Exit(in_session(run.run, remote=ask))


def _without_options(ctx: typer.Context, *, bare: bool) -> None:
    if bare and sys.stdin.isatty():
        in_session(run_console)
        return
    print(ctx.get_help(), file=sys.stderr)
    print("\nerror: --type or --file is needed", file=sys.stderr)
    raise typer.Exit(ExitCode.USAGE)
