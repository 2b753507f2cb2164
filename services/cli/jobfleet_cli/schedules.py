"""``jobfleet schedules``: what recurs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from jobfleet_cli.answer import print_json, print_table
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.job_source import read_payload
from jobfleet_cli.session import Session, in_session, who
from jobfleet_cli.table import Column
from jobfleet_contracts.codec import parse_time
from jobfleet_contracts.errors import InvalidRequest, UnknownSchedule
from jobfleet_contracts.schedule import Schedule
from jobfleet_protocol.actions.action_journal import ActionJournal
from jobfleet_protocol.control.schedules import Schedules
from jobfleet_protocol.reading.schedule_record import (
    ScheduleReader,
    ScheduleRecord,
    history_json,
    next_times,
)

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="List, declare, pause, resume, run and remove schedules.",
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The schedule's name.")]
Reason = Annotated[str, typer.Option(help="Recorded in the control log.")]


@app.command(name="list")
def list_(as_json: Json = False) -> None:
    """Print all schedules, by name."""

    async def work(session: Session) -> int:
        records = await _reader(session).all()
        if as_json:
            print_json({"items": [record.to_json() for record in records]})
        else:
            columns = (
                Column("NAME", cut=True),
                Column("TYPE", rank=2, cut=True),
                Column("WHEN", cut=True),
                Column("NEXT (UTC)"),
                Column("LAST", rank=1, cut=True),
                Column("STATE", cut=True),
            )
            print_table(columns, [*map(_row, records)])
        return ExitCode.DONE

    raise typer.Exit(in_session(work))


@app.command()
def show(name: Name, as_json: Json = False) -> None:
    """Print one schedule with its next runs."""

    async def work(session: Session) -> int:
        record = await _found(session, name)
        if as_json:
            print_json(record.to_json())
        else:
            print_table(("FIELD", "VALUE"), _fields(record))
        return ExitCode.DONE

    raise typer.Exit(in_session(work))


@app.command(name="next")
def next_(
    name: Name,
    count: Annotated[int, typer.Option(min=1, max=1000, help="So many times.")] = 5,
    as_json: Json = False,
) -> None:
    """Print the next times in UTC, whether the schedule is paused or not."""

    async def work(session: Session) -> int:
        record = await _found(session, name)
        times = next_times(record, session.clock.now(), count)
        if as_json:
            print_json({"items": times})
        else:
            print_table(("NEXT (UTC)",), [(time,) for time in times])
        return ExitCode.DONE

    raise typer.Exit(in_session(work))


@app.command()
def history(
    name: Name,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="So many entries.")] = 50,
    before: Annotated[int | None, typer.Option(help="Only entries before this number.")] = None,
    as_json: Json = False,
) -> None:
    """Print what happened to it, newest first: ticks, pauses, changes, and who did them."""

    async def work(session: Session) -> int:
        entries = await _schedules(session).history(name, before=before, limit=limit)
        if not entries and before is None:
            raise UnknownSchedule(f"there is no schedule {name}")
        rows = [history_json(entry) for entry in entries]
        if as_json:
            print_json({"items": rows})
        else:
            names = ("sequence", "timestamp", "kind", "tick", "jobId", "by", "reason")
            columns = (
                Column("SEQUENCE", rank=4),
                Column("TIMESTAMP"),
                Column("KIND"),
                Column("TICK", rank=2),
                Column("JOBID", rank=3, is_id=True),
                Column("BY", rank=1, cut=True),
                Column("REASON", cut=True),
            )
            print_table(columns, [tuple(str(row[c] or "") for c in names) for row in rows])
        return ExitCode.DONE

    raise typer.Exit(in_session(work))


@app.command()
def add(  # noqa: PLR0917 - typer calls it by name
    name: Name,
    type_: Annotated[str, typer.Option("--type", help="Which handler runs its jobs.")],
    cron: Annotated[
        str | None, typer.Option(metavar="LINE", help='Five fields: "0 6 * * MON-FRI".')
    ] = None,
    every: Annotated[float | None, typer.Option(metavar="S", help="Each S seconds.")] = None,
    timezone: Annotated[str | None, typer.Option(help="IANA name; default UTC.")] = None,
    start: Annotated[str | None, typer.Option(metavar="T", help="No run before it.")] = None,
    overlap: Annotated[
        str | None,
        typer.Option(help="While the previous job runs: skip (default), queue or allow."),
    ] = None,
    catch_up: Annotated[
        str | None, typer.Option(help="Missed runs: none, last (default) or all (100 at most).")
    ] = None,
    jitter: Annotated[
        float | None, typer.Option(metavar="S", help="Up to S seconds later, always the same.")
    ] = None,
    payload: Annotated[
        str | None, typer.Option(metavar="JSON|@FILE|-", help="The handler's input.")
    ] = None,
    job_name: Annotated[str | None, typer.Option("--name", help="What people read.")] = None,
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
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Declare a schedule, or change it. The same declaration again changes nothing."""
    given: dict[str, Any] = {
        "type": type_,
        "cron": cron,
        "everySeconds": every,
        "timezone": timezone,
        "start": start,
        "overlap": overlap,
        "catchUp": catch_up,
        "jitterSeconds": jitter,
        "jobName": job_name,
        "description": description,
        "priority": priority,
        "queue": queue,
        "lockKey": lock_key,
        "lockSlots": lock_slots,
        "limits": limits or None,
        "maxAttempts": max_attempts,
        "onLost": on_lost,
        "maxTakeovers": max_takeovers,
        "timeoutSeconds": timeout,
    }
    if payload is not None:
        given["payload"] = read_payload(payload)
    schedule = Schedule.parse(name, given)

    async def work(session: Session) -> int:
        await _schedules(session).declare(schedule, by=who(), reason=reason)
        record = await _found(session, name)
        if as_json:
            print_json(record.to_json())
        else:
            print_table(("FIELD", "VALUE"), _fields(record))
        return ExitCode.DONE

    raise typer.Exit(in_session(work))


@app.command()
def pause(name: Name, reason: Reason = "") -> None:
    """Stop its ticks until it is resumed; a deployment does not resume it."""
    _act(lambda schedules: schedules.pause(name, by=who(), reason=reason))


@app.command()
def resume(name: Name, reason: Reason = "") -> None:
    """Let it tick again; what it missed follows its catch-up."""
    _act(lambda schedules: schedules.resume(name, by=who(), reason=reason))


@app.command()
def remove(name: Name, reason: Reason = "") -> None:
    """End it. Its log stays; code that declares it again must have changed."""
    _act(lambda schedules: schedules.remove(name, by=who(), reason=reason))


@app.command()
def run(name: Name, reason: Reason = "", as_json: Json = False) -> None:
    """Make its job once, now, beside the ticks; print the job's id."""

    async def work(session: Session) -> int:
        job = await _schedules(session).run(name, by=who(), reason=reason)
        if as_json:
            print_json({"jobId": job.job_id, "state": job.state})
        else:
            print(job.job_id)
        return ExitCode.DONE

    raise typer.Exit(in_session(work))


@app.command()
def backfill(
    name: Name,
    since: Annotated[str, typer.Option(metavar="T", help="First time, included.")],
    until: Annotated[str, typer.Option(metavar="T", help="Last time, not included.")],
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Make the jobs of ticks of the past, up to 1,000; repeated, it finds the same jobs."""
    first, last = _time(since, "--since"), _time(until, "--until")

    async def work(session: Session) -> int:
        jobs = await _schedules(session).backfill(
            name, since=first, until=last, by=who(), reason=reason
        )
        for job in jobs:
            if as_json:
                print_json({"jobId": job.job_id, "state": job.state, "created": job.created})
            else:
                print(job.job_id)
        return ExitCode.DONE

    raise typer.Exit(in_session(work))


def _act(action: Callable[[Schedules], Awaitable[None]]) -> None:
    async def work(session: Session) -> int:
        await action(_schedules(session))
        return ExitCode.DONE

    raise typer.Exit(in_session(work))


def _schedules(session: Session) -> Schedules:
    backend, clock = session.backend, session.clock
    return Schedules(
        log=backend.control_log,
        trail=backend.trail,
        submitter=session.writes.submitter,
        clock=clock,
        told=ActionJournal(log=backend.control_log, clock=clock).hear,
    )


def _reader(session: Session) -> ScheduleReader:
    return ScheduleReader(
        schedules=_schedules(session),
        trail=session.backend.trail,
        directory=session.backend.directory,
        clock=session.clock,
    )


async def _found(session: Session, name: str) -> ScheduleRecord:
    record = await _reader(session).find(name)
    if record is None:
        raise UnknownSchedule(f"there is no schedule {name}")
    return record


def _row(record: ScheduleRecord) -> tuple[str, ...]:
    shown = record.to_json()
    if record.state is None:
        return (shown["name"], "", "", "", "", f"cannot be read: {shown['error']}")
    following = shown["nextRuns"][0] if shown["nextRuns"] else "-"
    last = f"{shown['lastState'] or ''}"
    return (
        shown["name"],
        shown["type"],
        record.state.schedule.when,
        following,
        last,
        _condition(shown),
    )


def _condition(shown: dict[str, Any]) -> str:
    if shown["paused"]:
        return f"paused by {shown['pausedBy']}"
    if not shown["handled"]:
        return f"no live worker handles {shown['type']}"
    return f"late since {shown['lateSince']}" if shown["late"] else "on time"


def _fields(record: ScheduleRecord) -> list[tuple[str, str]]:
    rows = []
    for field, value in record.to_json().items():
        if field != "job" and value is not None:
            shown = "\n".join(value) if field == "nextRuns" else str(value)
            rows.append((field, shown))
    return rows


def _time(text: str, option: str) -> Any:
    try:
        return parse_time(text)
    except ValueError as error:
        raise InvalidRequest(f"{option}: {error}", field=option.removeprefix("--")) from error
