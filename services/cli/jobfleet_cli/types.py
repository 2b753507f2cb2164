"""``jobfleet types``: which jobs are slow, and pauses of job types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from jobfleet_cli import pause_commands
from jobfleet_cli.answer import print_json, print_table
from jobfleet_cli.answer_options import Json
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.pause_commands import Reason, Until, reader_of
from jobfleet_cli.queues import condition
from jobfleet_cli.remote_dashboard import RemoteDashboard
from jobfleet_cli.session import Session, in_session
from jobfleet_cli.table import Column
from jobfleet_cli.zone import local_time, zone_name
from jobfleet_contracts.control import ControlSubject
from jobfleet_protocol.reading.durations import spell_ms
from jobfleet_protocol.reading.type_list import (
    DEFAULT_SORT,
    DEFAULT_SPAN,
    SORTS,
    SPAN_FIELDS,
    SPANS,
    check_span_and_sort,
    sorted_items,
    types_json,
)
from jobfleet_protocol.reading.type_report import read_types

app = typer.Typer(
    invoke_without_command=True,
    rich_markup_mode=None,
    add_completion=False,
    help="List, pause and resume job types; say which of them are slow.",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The job type.")]
Span = Annotated[str, typer.Option(help=f"One of {', '.join(SPANS)}: how far figures go back.")]
Sort = Annotated[str, typer.Option(help=f"One of {', '.join(SORTS)}; the largest comes first.")]
_Print = Callable[[dict[str, Any]], int]


@app.callback()
def types(context: typer.Context) -> None:
    """Print the list unless a command follows."""
    if context.invoked_subcommand is None:
        list_()


@app.command(name="list")
def list_(span: Span = DEFAULT_SPAN, sort: Sort = DEFAULT_SORT, as_json: Json = False) -> None:
    """Print each type: how many of its jobs ended and failed, how long they waited and ran.

    Types are those that live workers handle, that are paused, or had jobs within a day. Waiting
    counts from when an attempt was due; percentiles are right within 5 %.
    """
    check_span_and_sort(span, sort)

    def tell(found: dict[str, Any]) -> int:
        if as_json:
            print_json(found)
        else:
            _print_types(sorted_items(found["items"], span=span, sort=sort), span)
        return ExitCode.DONE

    raise typer.Exit(_with_report(tell))


@app.command()
def slowest(as_json: Json = False) -> None:
    """Print the 20 slowest attempts of the last day, slowest first."""

    def tell(found: dict[str, Any]) -> int:
        if as_json:
            print_json({"daySince": found["daySince"], "items": found["slowest"]})
        else:
            _print_slowest(found["slowest"])
        return ExitCode.DONE

    raise typer.Exit(_with_report(tell))


def _with_report(tell: _Print) -> int:
    async def work(session: Session) -> int:
        records = await reader_of(session).types()
        return tell(types_json(records, await read_types(session.backend.reader, session.clock)))

    async def ask(dashboard: RemoteDashboard) -> int:
        return tell(await dashboard.get("/api/types"))

    return in_session(work, remote=ask)


def _print_types(items: list[dict[str, Any]], span: str) -> None:
    columns = (
        Column("TYPE", cut=True),
        Column("STATE", rank=1, cut=True),
        Column("WORKERS", rank=5),
        Column("ENDED/MIN"),
        Column("FAILED"),
        Column("WAITED p50", rank=4),
        Column("p95", rank=4),
        Column("p99", rank=7),
        Column("RAN p50", rank=3),
        Column("p95"),
        Column("p99", rank=6),
    )
    print_table(columns, [_type_row(item, item[SPAN_FIELDS[span]]) for item in items])


def _type_row(item: dict[str, Any], figures: dict[str, Any]) -> tuple[str, ...]:
    share = figures["failureShare"]
    return (
        item["type"] or "other types",
        condition(item),
        str(len(item["workers"])),
        f"{figures['endedPerMinute']:g}",
        "" if share is None else f"{share:.1%}",
        *(spell_ms(figures["waiting"][name]) for name in ("p50Ms", "p95Ms", "p99Ms")),
        *(spell_ms(figures["running"][name]) for name in ("p50Ms", "p95Ms", "p99Ms")),
    )


def _print_slowest(items: list[dict[str, Any]]) -> None:
    columns = (
        Column("RAN"),
        Column("JOB", is_id=True),
        Column("NAME", cut=True),
        Column("TYPE", rank=1, cut=True),
        Column("ATTEMPT", rank=3),
        Column("ENDED"),
        Column(f"AT ({zone_name()})", rank=2),
    )
    rows = [
        (
            spell_ms(item["durationMs"]),
            item["jobId"],
            item["jobName"],
            item["type"],
            str(item["attempt"]),
            item["ended"],
            local_time(item["endedAt"]),
        )
        for item in items
    ]
    print_table(columns, rows)


@app.command()
def pause(name: Name, until: Until = None, reason: Reason = "") -> None:
    """Let no job of a type start; running jobs go on, and new jobs are accepted."""
    pause_commands.pause(ControlSubject.TYPE, name, until, reason)


@app.command()
def resume(name: Name, reason: Reason = "") -> None:
    """Let the jobs of a type start again."""
    pause_commands.resume(ControlSubject.TYPE, name, reason)
