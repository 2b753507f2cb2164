"""``jobfleet schedules``: what recurs."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from urllib.parse import quote

import typer

from jobfleet_cli import request_options
from jobfleet_cli.answer_options import Json
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.job_source import read_payload
from jobfleet_cli.option_names import named_by_options
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
from jobfleet_protocol.reading.schedule_changes import logged_entries
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
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many times.")] = 5,
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
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many entries.")] = 50,
    before: Annotated[int | None, typer.Option(help="Only entries before this number.")] = None,
    as_json: Json = False,
) -> None:
    """Print a schedule's history, newest first: ticks, pauses, changes, and who did them."""

    async def work(session: Session) -> int:
        entries = await _schedules(session).history(name, before=before, limit=limit + 1)
        if not entries and before is None:
            raise UnknownSchedule(f"there is no schedule {name}")
        rows = [*map(history_json, logged_entries(entries, limit))]
        return print_history(rows, as_json=as_json)

    async def ask(dashboard: RemoteDashboard) -> int:
        found = await dashboard.get(f"{_path(name)}/history", limit=limit, cursor=before)
        return print_history(found["items"], as_json=as_json)

    raise typer.Exit(in_session(work, remote=ask))


@app.command()
def add(  # noqa: PLR0917 - typer calls it by name
    name: Name,
    type_: Annotated[str, typer.Option("--type", help="Which handler runs its jobs.")],
    cron: Annotated[
        str | None,
        typer.Option(metavar="LINE", help='"0 6 * * MON-FRI"; six fields begin with seconds.'),
    ] = None,
    every: Annotated[float | None, typer.Option(metavar="S", help="Run every S seconds.")] = None,
    timezone: Annotated[str | None, typer.Option(help="IANA name; default UTC.")] = None,
    start: Annotated[str | None, typer.Option(metavar="T", help="No run before this time.")] = None,
    overlap: Annotated[
        str | None,
        typer.Option(
            help="While the previous job runs: skip (default), queue (default with --catch-up all) "
            "or allow."
        ),
    ] = None,
    catch_up: Annotated[
        str | None,
        typer.Option(help="Missed runs to make: none, last (default) or all (100 at most)."),
    ] = None,
    jitter: Annotated[
        float | None,
        typer.Option(metavar="S", help="Delay every run by the same 0 to S seconds."),
    ] = None,
    payload: request_options.Payload = None,
    job_name: request_options.Name = None,
    description: request_options.Description = None,
    priority: request_options.Priority = None,
    queue: request_options.Queue = None,
    lock_key: request_options.LockKey = None,
    lock_slots: request_options.LockSlots = None,
    limits: request_options.Limits = None,
    max_attempts: request_options.MaxAttempts = None,
    on_lost: request_options.OnLost = None,
    max_takeovers: request_options.MaxTakeovers = None,
    timeout: request_options.Timeout = None,
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
    with named_by_options():
        schedule = Schedule.parse(name, given)

    async def work(session: Session) -> int:
        await _schedules(session).declare(schedule, by=who(), reason=reason)
        return print_schedule((await _found(session, name)).to_json(), as_json=as_json)

    async def ask(dashboard: RemoteDashboard) -> int:
        fields = {field: value for field, value in given.items() if value is not None}
        found = await dashboard.put(_path(name), fields | {"reason": reason})
        return print_schedule(found, as_json=as_json)

    raise typer.Exit(in_session(work, remote=ask))


@app.command()
def pause(name: Name, reason: Reason = "") -> None:
    """Pause a schedule until it is resumed; a deployment does not."""
    _act(
        lambda schedules: schedules.pause(name, by=who(), reason=reason),
        lambda dashboard: dashboard.post(_path(name, "pause"), {"reason": reason}),
    )


@app.command()
def resume(name: Name, reason: Reason = "") -> None:
    """Resume a schedule; its catch-up decides which missed runs are made."""
    _act(
        lambda schedules: schedules.resume(name, by=who(), reason=reason),
        lambda dashboard: dashboard.post(_path(name, "resume"), {"reason": reason}),
        unchanged=f"schedule {name} was not paused",
    )


@app.command()
def remove(name: Name, reason: Reason = "") -> None:
    """Remove a schedule. Its log stays; unchanged code does not declare it again."""
    _act(
        lambda schedules: schedules.remove(name, by=who(), reason=reason),
        lambda dashboard: dashboard.delete(_path(name), {"reason": reason}),
    )


@app.command()
def run(name: Name, reason: Reason = "", as_json: Json = False) -> None:
    """Submit a schedule's job once, now, and print its id; the planned runs stay."""

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
    """Submit the jobs of up to 1,000 past runs; a second call submits none twice."""
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
    action: Callable[[Schedules], Awaitable[bool]],
    request: Callable[[RemoteDashboard], Awaitable[Any]],
    *,
    unchanged: str = "",
) -> None:
    """Change a schedule, and say ``unchanged`` if it was so before."""

    def report(changed: bool) -> int:
        if unchanged and not changed:
            print(unchanged, file=sys.stderr)
        return ExitCode.DONE

    async def work(session: Session) -> int:
        return report(await action(_schedules(session)))

    async def ask(dashboard: RemoteDashboard) -> int:
        return report((await request(dashboard))["changed"])

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
        on_appended=ActionJournal(log=backend.control_log, clock=clock).note_entry,
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
