"""``jobfleet events``: what happened in the fleet."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from jobfleet_cli.answer import print_json, print_table
from jobfleet_cli.answer_options import Cursor, Json, Limit
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.list_file import (
    Export,
    FileForm,
    Out,
    check_export,
    fetch_lines,
    write_lines,
)
from jobfleet_cli.remote_dashboard import RemoteDashboard
from jobfleet_cli.session import Session, in_session
from jobfleet_cli.table import Column
from jobfleet_cli.zone import local_time, zone_name
from jobfleet_contracts.codec import format_optional_time
from jobfleet_protocol.reading.event_search import event_query, find_events
from jobfleet_protocol.reading.list_export import EVENTS

app = typer.Typer(rich_markup_mode=None, add_completion=False)

LINES = {
    FileForm.CSV: EVENTS.csv_lines,
    FileForm.JSON_LINES: EVENTS.json_lines,
}

Search = Annotated[
    str | None,
    typer.Option("--q", "-q", help="A search, as 'type:crm.* -status:step error:quota any text'."),
]
Since = Annotated[str | None, typer.Option(metavar="T", help="At or after this time.")]
Until = Annotated[str | None, typer.Option(metavar="T", help="Before this time.")]


@app.command()
def events(
    q: Search = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: Json = False,
    export: Export = None,
    out: Out = None,
) -> None:
    """Print events of all jobs, newest first."""
    check_export(export, out, cursor=cursor, as_json=as_json)
    fields = {"q": q, "since": since, "until": until}
    query = event_query(fields, limit=limit, cursor=cursor, prefix="--")

    async def work(session: Session) -> int:
        if export is not None:
            return await write_lines(LINES[export](session.backend.reader, query), out)
        page = await find_events(session.backend.reader, query)
        items = [event.to_json() for event in page.items]
        back_to = format_optional_time(page.searched_back_to)
        found = {"items": items, "next": page.next, "searchedBackTo": back_to}
        return _print(found, as_json=as_json)

    async def ask(dashboard: RemoteDashboard) -> int:
        if export is not None:
            return await fetch_lines(dashboard, f"/api/events/export.{export}", fields, out)
        found = await dashboard.get("/api/events", limit=limit, cursor=cursor, **fields)
        return _print(found, as_json=as_json)

    raise typer.Exit(in_session(work, remote=ask))


def _print(found: Mapping[str, Any], *, as_json: bool) -> int:
    if as_json:
        print_json(found)
        return ExitCode.DONE
    columns = (
        Column(f"TIME ({zone_name()})"),
        Column("EVENT"),
        Column("JOB", is_id=True),
        Column("NAME", cut=True),
        Column("WORKER", rank=2, is_id=True),
        Column("MESSAGE", cut=True),
    )
    print_table(columns, [_row(event) for event in found["items"]])
    if found["searchedBackTo"]:
        print(
            f"searched back to {local_time(found['searchedBackTo'])} {zone_name()}", file=sys.stderr
        )
    if found["next"]:
        print(f"more: --cursor {found['next']}", file=sys.stderr)
    return ExitCode.DONE


def _row(event: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        local_time(event["timestamp"], milliseconds=True),
        event["status"],
        event["jobId"],
        event["jobName"],
        event["workerId"] or "",
        event["message"],
    )
