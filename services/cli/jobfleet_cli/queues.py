"""``jobfleet queues``: depth, waiting time and pauses of queues."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from jobfleet_cli import pause_commands
from jobfleet_cli.answer import print_json, print_table
from jobfleet_cli.answer_options import Json
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.pause_commands import Reason, Until, reader_of
from jobfleet_cli.remote_dashboard import RemoteDashboard
from jobfleet_cli.session import Session, in_session
from jobfleet_cli.table import Column
from jobfleet_contracts.control import ControlSubject
from jobfleet_contracts.reason import behind_name

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="List, pause and resume queues.",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The queue's name.")]


@app.command(name="list")
def list_(as_json: Json = False) -> None:
    """Print all queues, by name."""

    async def work(session: Session) -> int:
        rows = [record.to_json() for record in await reader_of(session).queues()]
        return _print({"items": rows}, as_json=as_json)

    async def ask(dashboard: RemoteDashboard) -> int:
        found = await dashboard.get("/api/queues")
        return _print({"items": found["queues"]}, as_json=as_json)

    raise typer.Exit(in_session(work, remote=ask))


def _print(found: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        print_json(found)
        return ExitCode.DONE
    columns = (
        Column("QUEUE", cut=True),
        Column("READY"),
        Column("WAITING", rank=1),
        Column("IN/MIN", rank=3),
        Column("OUT/MIN", rank=3),
        Column("WORKERS", rank=2),
        Column("STATE", cut=True),
    )
    print_table(columns, [_row(row) for row in found["items"]])
    return ExitCode.DONE


@app.command()
def pause(name: Name, until: Until = None, reason: Reason = "") -> None:
    """Let no job of a queue start; running jobs go on, and new jobs are accepted."""
    pause_commands.pause(ControlSubject.QUEUE, name, until, reason)


@app.command()
def resume(name: Name, reason: Reason = "") -> None:
    """Let the jobs of a queue start again."""
    pause_commands.resume(ControlSubject.QUEUE, name, reason)


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    waiting = "-" if row["waitingSeconds"] is None else f"{row['waitingSeconds']:g} s"
    rates = (f"{row['inPerMinute']:g}", f"{row['outPerMinute']:g}")
    workers = str(len(row["workers"]))
    return (row["queue"], str(row["depth"]), waiting, *rates, workers, condition(row))


def condition(row: dict[str, Any]) -> str:
    """Say whether it is paused, by whom, until when and why."""
    if not row["paused"]:
        return "open"
    until = f" until {row['pausedUntil']}" if row["pausedUntil"] else ""
    return f"paused by {row['pausedBy']}{until}{behind_name(row['pauseReason'])}"
