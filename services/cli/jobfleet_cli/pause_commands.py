"""What ``jobfleet queues`` and ``jobfleet types`` share: pause and resume."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import quote

import typer

from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.remote_dashboard import RemoteDashboard
from jobfleet_cli.session import Session, in_session, who
from jobfleet_contracts.codec import format_time, parse_time
from jobfleet_contracts.control import ControlSubject
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_protocol.actions.action_journal import ActionJournal
from jobfleet_protocol.control.pauses import Pauses
from jobfleet_protocol.reading.queue_record import QueueReader

Reason = Annotated[str, typer.Option(help="Recorded in the control log, and shown with each job.")]
Until = Annotated[
    str | None, typer.Option(metavar="T", help="Resume by itself then: 2026-11-27T06:00:00Z.")
]


def pause(subject: ControlSubject, name: str, until: str | None, reason: str) -> None:
    """Let nothing of a queue or type start, and say so where no worker has to do with it."""
    end = None if until is None else _time(until)

    def report(warning: str | None) -> int:
        if warning is not None:
            print(f"warning: {warning}; the pause stands", file=sys.stderr)
        return ExitCode.DONE

    async def work(session: Session) -> int:
        await pauses_of(session).pause(subject, name, by=who(), reason=reason, until=end)
        return report(await reader_of(session).warning_of(subject, name))

    async def ask(dashboard: RemoteDashboard) -> int:
        body = {"reason": reason} | ({} if end is None else {"until": format_time(end)})
        return report((await dashboard.post(_path(subject, name, "pause"), body))["warning"])

    raise typer.Exit(in_session(work, remote=ask))


def resume(subject: ControlSubject, name: str, reason: str) -> None:
    """End the pause, and say so if there was none: the name may be mistyped."""

    def report(changed: bool) -> int:
        if not changed:
            print(f"{subject} {name} was not paused", file=sys.stderr)
        return ExitCode.DONE

    async def work(session: Session) -> int:
        return report(await pauses_of(session).resume(subject, name, by=who(), reason=reason))

    async def ask(dashboard: RemoteDashboard) -> int:
        found = await dashboard.post(_path(subject, name, "resume"), {"reason": reason})
        return report(found["changed"])

    raise typer.Exit(in_session(work, remote=ask))


def _path(subject: ControlSubject, name: str, verb: str) -> str:
    return f"/api/{subject}s/{quote(name, safe='')}/{verb}"


def pauses_of(session: Session) -> Pauses:
    """Return the pauses of the configured backend."""
    backend = session.backend
    journal = ActionJournal(log=backend.control_log, clock=session.clock)
    return Pauses(
        log=backend.control_log,
        control=backend.control,
        clock=session.clock,
        on_appended=journal.note_entry,
    )


def reader_of(session: Session) -> QueueReader:
    """Return the reader of queues and types."""
    backend = session.backend
    return QueueReader(
        queue=backend.queue,
        reader=backend.reader,
        directory=backend.directory,
        pauses=pauses_of(session),
        clock=session.clock,
    )


def _time(text: str) -> datetime:
    try:
        return parse_time(text).astimezone(UTC)
    except ValueError as error:
        raise InvalidRequest(f"--until: {error}", field="until") from error
