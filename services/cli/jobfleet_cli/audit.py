"""``jobfleet audit``: verify, export, heads, rebuild."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobfleet_cli.export_verification import verify_export
from jobfleet_cli.session import in_session
from jobfleet_cli.trail_export import TrailExport
from jobfleet_cli.trail_heads import TrailHeads, read_heads
from jobfleet_cli.trail_rebuild import rebuild_index
from jobfleet_cli.trail_verification import TrailVerification
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_protocol.reading.job_export import PAGE
from jobfleet_protocol.reading.job_filter import job_query

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="Verify, export and rebuild from the audit trail.",
)

JobOption = Annotated[str | None, typer.Option("--job", metavar="ID", help="Only this job.")]


@app.command()
def verify(
    job: JobOption = None,
    index: Annotated[
        bool, typer.Option("--index", help="Drift of the index changes the exit code as well.")
    ] = False,
    data: Annotated[
        bool, typer.Option("--data", help="Fetch large data from their blobs and check them too.")
    ] = False,
    heads: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Compare with a file that `audit heads` wrote earlier."),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Check the linkage of a file that `audit export` wrote."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line per finding.")] = False,
) -> None:
    """Check every rule over the stored trail; exit 0, or 1 naming job, event and rule."""
    if export is not None:
        raise typer.Exit(verify_export(export, as_json=as_json))
    run = TrailVerification(
        job_id=job,
        count_drift=index,
        fetch_data=data,
        heads=None if heads is None else read_heads(heads),
        as_json=as_json,
    )
    raise typer.Exit(in_session(run.run))


@app.command()
def export(
    job: JobOption = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Default: standard output.")
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Include credentials: for backup and moving.")
    ] = False,
    q: Annotated[
        str | None,
        typer.Option("--q", "-q", help="Only jobs of a search, as 'type:crm.* error:quota'."),
    ] = None,
) -> None:
    """Write the trail as JSON lines, one event each, job by job, oldest event first.

    What submitters wrote is masked as in the API. With --raw it is printed as it is stored.
    """
    if job is not None and q is not None:
        raise InvalidRequest("--q: give either a job or a search", field="q")
    search = None if q is None else job_query({"q": q}, limit=PAGE, prefix="--")
    raise typer.Exit(in_session(TrailExport(job_id=job, search=search, out=out, raw=raw).run))


@app.command("heads")
def write_heads(
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Default: standard output.")
    ] = None,
) -> None:
    """Write each job's newest hash as JSON lines; keep the file where the fleet cannot write."""
    raise typer.Exit(in_session(TrailHeads(out=out).run))


@app.command()
def rebuild() -> None:
    """Write timeline and open rows anew from the trail; open rows of live jobs are only added."""
    raise typer.Exit(in_session(rebuild_index))
