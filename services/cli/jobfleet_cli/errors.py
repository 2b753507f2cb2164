"""``jobfleet errors``: what failed, and how often."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from jobfleet_cli.answer import print_json, print_table
from jobfleet_cli.answer_options import Json
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.remote_dashboard import RemoteDashboard
from jobfleet_cli.session import Session, in_session
from jobfleet_cli.table import Column
from jobfleet_cli.zone import local_time, zone_name
from jobfleet_protocol.reading.error_report import DEFAULT_RANGE, RANGES, error_range, read_errors

app = typer.Typer(rich_markup_mode=None, add_completion=False)

Range = Annotated[str, typer.Option("--range", help=f"One of {', '.join(RANGES)}.")]
Type = Annotated[str | None, typer.Option("--type", help="Only failures of this type.")]


@app.command()
def errors(range_: Range = DEFAULT_RANGE, type_: Type = None, as_json: Json = False) -> None:
    """Print failures by type, exception class and place, most failed jobs first."""
    chosen = error_range(range_)

    async def work(session: Session) -> int:
        report = await read_errors(session.backend.reader, session.clock, chosen, job_type=type_)
        return _print(report.to_json(), as_json=as_json)

    async def ask(dashboard: RemoteDashboard) -> int:
        found = await dashboard.get("/api/errors", range=chosen.name, type=type_)
        return _print(found, as_json=as_json)

    raise typer.Exit(in_session(work, remote=ask))


def _print(found: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        print_json(found)
        return ExitCode.DONE
    columns = (
        Column("JOBS"),
        Column("RETRIED", rank=4),
        Column("TYPE", cut=True),
        Column("ERROR", cut=True),
        Column("PLACE", rank=3, cut=True),
        Column("MESSAGE", cut=True),
        Column(f"LAST ({zone_name()})", rank=1),
    )
    print_table(columns, [_row(item) for item in found["items"]])
    return ExitCode.DONE


def _row(item: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(item["jobs"]),
        str(item["retried"]),
        item["type"] or "types without a handler",
        item["error"],
        item["place"] or "",
        item["message"],
        local_time(item["lastAt"]),
    )
