"""``jobfleet limits``: named limits of slots and rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote

import typer

from jobfleet_cli.answer import print_json, print_table
from jobfleet_cli.answer_options import Json
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.option_names import named_by_options
from jobfleet_cli.pause_commands import Reason
from jobfleet_cli.remote_dashboard import RemoteDashboard
from jobfleet_cli.session import Session, in_session, who
from jobfleet_cli.table import Column
from jobfleet_protocol.actions.action_journal import ActionJournal
from jobfleet_protocol.control.limits import Limits
from jobfleet_protocol.reading.limit_record import LimitReader, entry_json

_HISTORY = ("sequence", "timestamp", "kind", "slots", "rate", "burst", "by", "reason")

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="List, set and remove named limits.",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The limit's name.")]


@app.command(name="list")
def list_(as_json: Json = False) -> None:
    """Print all limits, by name."""

    async def work(session: Session) -> int:
        rows = [record.to_json() for record in await _reader(session).all()]
        return _print_list({"items": rows}, as_json=as_json)

    async def ask(dashboard: RemoteDashboard) -> int:
        return _print_list(await dashboard.get("/api/limits"), as_json=as_json)

    raise typer.Exit(in_session(work, remote=ask))


@app.command()
def show(name: Name, as_json: Json = False) -> None:
    """Print one limit, the jobs that hold its slots, and what was decided about it."""

    async def work(session: Session) -> int:
        return await _show_here(session, name, as_json=as_json)

    async def ask(dashboard: RemoteDashboard) -> int:
        return await _show_there(dashboard, name, as_json=as_json)

    raise typer.Exit(in_session(work, remote=ask))


@app.command(name="set")
def set_(
    name: Name,
    slots: Annotated[
        int | None, typer.Option(help="How many jobs that name it may run at once.")
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(metavar="N/PERIOD", help="How many may start in a period: 10/second."),
    ] = None,
    burst: Annotated[int, typer.Option(help="How many may start at once after a quiet time.")] = 1,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Set the whole limit; an option that you leave out limits nothing."""

    async def work(session: Session) -> int:
        await _limits(session).set(
            name, slots=slots, rate=rate, burst=burst, by=who(), reason=reason
        )
        return await _show_here(session, name, as_json=as_json)

    async def ask(dashboard: RemoteDashboard) -> int:
        body = {"slots": slots, "rate": rate, "burst": burst, "reason": reason}
        await dashboard.put(_path(name), body)
        return await _show_there(dashboard, name, as_json=as_json)

    with named_by_options():
        raise typer.Exit(in_session(work, remote=ask))


@app.command()
def remove(name: Name, reason: Reason = "") -> None:
    """Remove a limit; jobs that name it start without it."""

    async def work(session: Session) -> int:
        await _limits(session).remove(name, by=who(), reason=reason)
        return ExitCode.DONE

    async def ask(dashboard: RemoteDashboard) -> int:
        await dashboard.delete(_path(name), {"reason": reason})
        return ExitCode.DONE

    raise typer.Exit(in_session(work, remote=ask))


def _path(name: str) -> str:
    return f"/api/limits/{quote(name, safe='')}"


async def _show_here(session: Session, name: str, *, as_json: bool) -> int:
    row = (await _reader(session).one(name)).to_json()
    entries = () if as_json else [*map(entry_json, await _limits(session).history(name))]
    return _print_one(row, entries, as_json=as_json)


async def _show_there(dashboard: RemoteDashboard, name: str, *, as_json: bool) -> int:
    row = await dashboard.get(_path(name))
    entries = () if as_json else (await dashboard.get(f"{_path(name)}/history"))["items"]
    return _print_one(row, entries, as_json=as_json)


def _print_list(found: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        print_json(found)
        return ExitCode.DONE
    columns = (
        Column("LIMIT", cut=True),
        Column("SLOTS"),
        Column("USED"),
        Column("RATE", rank=1),
        Column("BURST", rank=3),
        Column("SET BY", rank=2, cut=True),
        Column("REASON", cut=True),
    )
    print_table(columns, [_row(row) for row in found["items"]])
    return ExitCode.DONE


def _print_one(row: dict[str, Any], entries: Sequence[Mapping[str, Any]], *, as_json: bool) -> int:
    if as_json:
        print_json(row)
        return ExitCode.DONE
    print_table(("FIELD", "VALUE"), [(field, _text(value)) for field, value in _facts(row)])
    if row["holders"]:
        print()
        holders = [(str(one["slot"]), one["jobId"], one["jobName"]) for one in row["holders"]]
        print_table(("SLOT", "JOB", "NAME"), holders)
    print()
    rows = [tuple(_text(one[field]) for field in _HISTORY) for one in entries]
    print_table(("ENTRY", "AT", "WHAT", "SLOTS", "RATE", "BURST", "BY", "REASON"), rows)
    return ExitCode.DONE


def _facts(row: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(field, value) for field, value in row.items() if field != "holders"]


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    fields = ("name", "slots", "used", "rate", "burst", "setBy", "reason")
    return tuple(_text(row[field]) for field in fields)


def _text(value: Any) -> str:
    return "-" if value is None else str(value)


def _limits(session: Session) -> Limits:
    backend = session.backend
    return Limits(
        log=backend.control_log,
        control=backend.control,
        clock=session.clock,
        on_appended=ActionJournal(log=backend.control_log, clock=session.clock).note_entry,
    )


def _reader(session: Session) -> LimitReader:
    return LimitReader(
        limits=_limits(session), locks=session.backend.locks, trail=session.backend.trail
    )
