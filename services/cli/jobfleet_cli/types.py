"""``jobfleet types``: pauses of job types."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from jobfleet_cli import pause_commands
from jobfleet_cli.answer import print_json, print_table
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.pause_commands import Json, Reason, Until, reader_of
from jobfleet_cli.queues import condition
from jobfleet_cli.remote_dashboard import RemoteDashboard
from jobfleet_cli.session import Session, in_session
from jobfleet_cli.table import Column
from jobfleet_contracts.control import ControlSubject

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="List, pause and resume job types.",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The job type.")]


@app.command(name="list")
def list_(as_json: Json = False) -> None:
    """Print the types that live workers handle or that are paused, by name."""

    async def work(session: Session) -> int:
        rows = [record.to_json() for record in await reader_of(session).types()]
        return _print({"items": rows}, as_json=as_json)

    async def ask(dashboard: RemoteDashboard) -> int:
        return _print(await dashboard.get("/api/types"), as_json=as_json)

    raise typer.Exit(in_session(work, remote=ask))


def _print(found: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        print_json(found)
        return ExitCode.DONE
    columns = (Column("TYPE", cut=True), Column("WORKERS"), Column("STATE", cut=True))
    table = [(row["type"], str(len(row["workers"])), condition(row)) for row in found["items"]]
    print_table(columns, table)
    return ExitCode.DONE


@app.command()
def pause(name: Name, until: Until = None, reason: Reason = "") -> None:
    """Let no job of it start; jobs that run go on, and jobs are still accepted."""
    pause_commands.pause(ControlSubject.TYPE, name, until, reason)


@app.command()
def resume(name: Name, reason: Reason = "") -> None:
    """Let its jobs start again."""
    pause_commands.resume(ControlSubject.TYPE, name, reason)
