"""``jobfleet audit``: verify, export, import, unseal, heads, rebuild."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.export_verification import verify_export
from jobfleet_cli.move_export import MoveExport
from jobfleet_cli.move_import import MoveImport
from jobfleet_cli.session import Session, in_session, who
from jobfleet_cli.trail_export import TrailExport
from jobfleet_cli.trail_heads import TrailHeads, read_heads
from jobfleet_cli.trail_rebuild import rebuild_index
from jobfleet_cli.trail_verification import TrailVerification
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_protocol.control.seals import Seals
from jobfleet_protocol.reading.job_filter import job_query
from jobfleet_protocol.reading.list_export import PAGE

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="Verify, export, move and rebuild from the audit trail.",
)

JobOption = Annotated[str | None, typer.Option("--job", metavar="ID", help="Only this job.")]


@app.command()
def verify(
    job: JobOption = None,
    index: Annotated[
        bool, typer.Option("--index", help="Exit 1 also where the index differs from the trail.")
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
        typer.Option("--q", "-q", help="Only jobs of this search: 'type:crm.* error:quota'."),
    ] = None,
    move: Annotated[
        bool, typer.Option("--move", help="Seal the fleet and write all of it, for audit import.")
    ] = False,
    reason: Annotated[str, typer.Option(help="With --move: recorded with the seal.")] = "",
    wait: Annotated[
        float, typer.Option(metavar="SECONDS", help="With --move: how long to wait for jobs.")
    ] = 600,
) -> None:
    """Write the trail as JSON lines, one event each, job by job, oldest event first.

    What submitters wrote is masked as in the API. With --raw it is printed as it is stored.

    With --move the fleet takes no jobs and starts none from now on. Jobs that run are waited for.
    """
    if move:
        if out is None or job is not None or q is not None:
            raise InvalidRequest("--move: needs --out FILE, and moves all jobs", field="move")
        raise typer.Exit(in_session(MoveExport(out=out, reason=reason, wait_seconds=wait).run))
    if job is not None and q is not None:
        raise InvalidRequest("--q: give either a job or a search", field="q")
    search = None if q is None else job_query({"q": q}, limit=PAGE, prefix="--")
    raise typer.Exit(in_session(TrailExport(job_id=job, search=search, out=out, raw=raw).run))


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="From audit export --move.")],
) -> None:
    """Write a moved fleet into this empty backend, and let it run here.

    Run it again after any failure: it goes on where it stopped.
    """
    raise typer.Exit(in_session(MoveImport(file=file).run))


@app.command()
def unseal(
    reason: Annotated[str, typer.Option(help="Recorded with the seal.")] = "",
) -> None:
    """Give up a move: lift the seal, so that this fleet takes and starts jobs again."""

    async def lift(session: Session) -> ExitCode:
        seals = Seals(log=session.backend.control_log, clock=session.clock)
        await seals.lift(by=who(), reason=reason)
        print("unsealed: the fleet takes and starts jobs again, within seconds")
        return ExitCode.DONE

    raise typer.Exit(in_session(lift))


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
    """Rebuild timeline and open rows from the trail; open rows of live jobs are only added."""
    raise typer.Exit(in_session(rebuild_index))
