"""``jobfleet publish``: the publisher console, or jobs from options and files."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.job_source import JobOptions, jobs_from_file, jobs_from_options
from jobfleet_cli.remote_dashboard import RemoteDashboard
from jobfleet_cli.session import in_session
from jobfleet_cli.submission_run import SubmissionRun, run_console

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def publish(  # noqa: PLR0917 - typer calls it by name
    ctx: typer.Context,
    type_: Annotated[str | None, typer.Option("--type", help="Which handler runs it.")] = None,
    payload: Annotated[
        str | None, typer.Option(metavar="JSON|@FILE|-", help="The handler's input.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What people read; default: the type.")] = None,
    description: Annotated[str | None, typer.Option(help="Up to 2,000 characters.")] = None,
    priority: Annotated[int | None, typer.Option(help="0 to 9, higher first; default 5.")] = None,
    queue: Annotated[str | None, typer.Option(help="Default: default.")] = None,
    lock_key: Annotated[
        str | None, typer.Option(help="Jobs with the same key never run at the same time.")
    ] = None,
    lock_slots: Annotated[
        int | None, typer.Option(help="So many jobs of the key may run at once; default 1.")
    ] = None,
    limits: Annotated[
        list[str] | None,
        typer.Option("--limit", help="A named limit that must have a slot; up to three."),
    ] = None,
    delay: Annotated[float | None, typer.Option(metavar="S", help="Start in S seconds.")] = None,
    run_at: Annotated[
        str | None, typer.Option(metavar="T", help="Start at this time: 2026-01-31T09:30:00Z.")
    ] = None,
    max_attempts: Annotated[int | None, typer.Option(help="First run included.")] = None,
    on_lost: Annotated[
        str | None, typer.Option(help="If its worker is lost: retry (default) or fail.")
    ] = None,
    max_takeovers: Annotated[
        int | None, typer.Option(help="Lost workers in a row that it survives; default 5.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="S", help="Time limit of one attempt.")
    ] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="K", help="The same key is the same job.")
    ] = None,
    then: Annotated[
        str | None,
        typer.Option(metavar="JSON|@FILE", help='Jobs that follow it: [{"type": "report"}].'),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="So many jobs of this kind.")] = 1,
    file: Annotated[
        str | None, typer.Option(metavar="JSONL|-", help="One job request per line.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Exit 1 unless all completed.")] = False,
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
