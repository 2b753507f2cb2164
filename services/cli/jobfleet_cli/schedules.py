"""``jobfleet schedules``: what recurs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from urllib.parse import quote

import typer

from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.job_source import read_payload
from jobfleet_cli.remote_dashboard import RemoteDashboard
from jobfleet_cli.schedule_list import (
    print_history,
    print_list,
    print_made,
    print_schedule,
    print_times,
)
from jobfleet_cli.session import Session, in_session, who
from jobfleet_contracts.codec import format_time, parse_time
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

PATH = "/api/schedules"
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The schedule's name.")]
Reason = Annotated[str, typer.Option(help="Recorded in the control log.")]


@app.command(name="list")
def list_(as_json: Json = False) -> None:
    """Print all schedules, by name."""

    async def work(session: Session) -> int:
        records = await _reader(session).all()
        return print_list({"items": [record.to_json() for record in records]}, as_json=as_json)

    async def ask(dashboard: RemoteDashboard) -> int:
        return print_list(await dashboard.get(PATH), as_json=as_json)

    raise typer.Exit(in_session(work, remote=ask))


@app.command()
def show(name: Name, as_json: Json = False) -> None:
    """Print one schedule with its next runs."""

    async def work(session: Session) -> int:
        return print_schedule((await _found(session, name)).to_json(), as_json=as_json)

    async def ask(dashboard: RemoteDashboard) -> int:
        return print_schedule(await dashboard.get(_path(name)), as_json=as_json)

    raise typer.Exit(in_session(work, remote=ask))


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
        return print_times({"items": times}, as_json=as_json)

    async def ask(dashboard: RemoteDashboard) -> int:
        found = await dashboard.get(f"{_path(name)}/next", count=count)
        return print_times(found, as_json=as_json)

    raise typer.Exit(in_session(work, remote=ask))


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
        return print_history([history_json(entry) for entry in entries], as_json=as_json)

    async def ask(dashboard: RemoteDashboard) -> int:
        found = await dashboard.get(f"{_path(name)}/history", limit=limit, cursor=before)
        return print_history(found["items"], as_json=as_json)

    raise typer.Exit(in_session(work, remote=ask))


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
        return print_schedule((await _found(session, name)).to_json(), as_json=as_json)

    async def ask(dashboard: RemoteDashboard) -> int:
        said = {field: value for field, value in given.items() if value is not None}
        found = await dashboard.put(_path(name), said | {"reason": reason})
        return print_schedule(found, as_json=as_json)

    raise typer.Exit(in_session(work, remote=ask))


@app.command()
def pause(name: Name, reason: Reason = "") -> None:
    """Stop its ticks until it is resumed; a deployment does not resume it."""
    _act(
        lambda schedules: schedules.pause(name, by=who(), reason=reason),
        lambda dashboard: dashboard.post(_path(name, "pause"), {"reason": reason}),
    )


@app.command()
def resume(name: Name, reason: Reason = "") -> None:
    """Let it tick again; what it missed follows its catch-up."""
    _act(
        lambda schedules: schedules.resume(name, by=who(), reason=reason),
        lambda dashboard: dashboard.post(_path(name, "resume"), {"reason": reason}),
    )


@app.command()
def remove(name: Name, reason: Reason = "") -> None:
    """End it. Its log stays; code that declares it again must have changed."""
    _act(
        lambda schedules: schedules.remove(name, by=who(), reason=reason),
        lambda dashboard: dashboard.delete(_path(name), {"reason": reason}),
    )


@app.command()
def run(name: Name, reason: Reason = "", as_json: Json = False) -> None:
    """Make its job once, now, beside the ticks; print the job's id."""

    async def work(session: Session) -> int:
        job = await _schedules(session).run(name, by=who(), reason=reason)
        return print_made([{"jobId": job.job_id, "state": job.state}], as_json=as_json)

    async def ask(dashboard: RemoteDashboard) -> int:
        job = await dashboard.post(_path(name, "run"), {"reason": reason})
        made = {"jobId": job["jobId"], "state": job["state"]}
        return print_made([made], as_json=as_json)

    raise typer.Exit(in_session(work, remote=ask))


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
        made = [{"jobId": j.job_id, "state": j.state, "created": j.created} for j in jobs]
        return print_made(made, as_json=as_json)

    async def ask(dashboard: RemoteDashboard) -> int:
        asked = {"since": format_time(first), "until": format_time(last), "reason": reason}
        found = await dashboard.post(_path(name, "backfill"), asked)
        return print_made(found["items"], as_json=as_json)

    raise typer.Exit(in_session(work, remote=ask))


def _act(
    action: Callable[[Schedules], Awaitable[None]],
    request: Callable[[RemoteDashboard], Awaitable[object]],
) -> None:
    async def work(session: Session) -> int:
        await action(_schedules(session))
        return ExitCode.DONE

    async def ask(dashboard: RemoteDashboard) -> int:
        await request(dashboard)
        return ExitCode.DONE

    raise typer.Exit(in_session(work, remote=ask))


def _path(name: str, verb: str = "") -> str:
    return f"{PATH}/{quote(name, safe='')}{'/' if verb else ''}{verb}"


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


def _time(text: str, option: str) -> Any:
    try:
        return parse_time(text)
    except ValueError as error:
        raise InvalidRequest(f"{option}: {error}", field=option.removeprefix("--")) from error
