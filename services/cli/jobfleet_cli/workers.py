"""``jobfleet workers``: who works, and what one worker does or did."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import typer

from jobfleet_cli.answer import print_json, print_table
from jobfleet_cli.answer_options import Json
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.remote_dashboard import RemoteDashboard
from jobfleet_cli.session import Session, in_session
from jobfleet_cli.table import Column
from jobfleet_cli.zone import local_time, zone_name
from jobfleet_contracts.errors import InvalidRequest

WorkerId = Annotated[
    str | None,
    typer.Argument(metavar="[ID]", help="Only this worker, also one that stopped days ago."),
]

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def workers(worker_id: WorkerId = None, as_json: Json = False) -> None:
    """Print the workers of the last hour, longest running first, or all about one of them.

    A worker is known for seven days after its last heartbeat.
    """
    if worker_id is not None:
        raise typer.Exit(_one(_checked(worker_id), as_json=as_json))

    async def work(session: Session) -> int:
        from jobfleet_protocol.reading.worker_jobs import read_workers
        from jobfleet_protocol.reading.worker_record import worker_json

        backend, now = session.backend, session.clock.now()
        found = await read_workers(backend.directory, backend.trail, now)
        items = [worker_json(status, now) for status in found]
        return _print({"items": items}, as_json=as_json)

    async def ask(dashboard: RemoteDashboard) -> int:
        return _print(await dashboard.get("/api/workers"), as_json=as_json)

    raise typer.Exit(in_session(work, remote=ask))


def _checked(worker_id: str) -> str:
    try:
        return str(UUID(worker_id))
    except ValueError:
        raise InvalidRequest(
            f"worker id: {worker_id!r} is not a UUID; `jobfleet workers --json` prints whole ids",
            field="workerId",
        ) from None


def _one(worker_id: str, *, as_json: bool) -> int:
    async def work(session: Session) -> int:
        from jobfleet_protocol.reading.worker_record import read_worker

        backend = session.backend
        record = await read_worker(
            worker_id,
            directory=backend.directory,
            reader=backend.reader,
            trail=backend.trail,
            now=session.clock.now(),
        )
        return _print_one(record.to_json(), as_json=as_json)

    async def ask(dashboard: RemoteDashboard) -> int:
        found = await dashboard.get(f"/api/workers/{worker_id}")
        return _print_one(found, as_json=as_json)

    return in_session(work, remote=ask)


def _print_one(found: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        print_json(found)
        return ExitCode.DONE
    condition = f"{found['condition']} since {local_time(found['since'])} {zone_name()}"
    facts = [
        ("worker", found["workerId"]),
        ("condition", condition),
        ("host", f"{found['host']}, pid {found['pid']}, {found['version']}"),
        ("started", local_time(found["startedAt"])),
        ("heartbeat", local_time(found["heartbeatAt"])),
        ("slots", f"{found['slotsUsed']}/{found['slots']}"),
        ("queues", ", ".join(found["queues"])),
        ("types", ", ".join(found["types"])),
        (
            "attempts ended",
            f"{found['runs']}, {found['failures']} failed, {found['fenced']} refused",
        ),
        ("jobs taken", f"{len(found['takeovers'])}{'+' if found['moreTakeovers'] else ''}"),
    ]
    print_table((Column("FIELD"), Column("VALUE", cut=True)), facts)
    _print_jobs("TAKEN", found["takeovers"], "at", "byWorkerId")
    _print_jobs("RUNNING", found["running"], "startedAt", None)
    _print_jobs("ENDED", found["recent"], "endedAt", "ended")
    return ExitCode.DONE


def _print_jobs(title: str, items: list[dict[str, Any]], time: str, column: str | None) -> None:
    if not items:
        return
    print()
    last = {"byWorkerId": "BY", "ended": "HOW", None: ""}[column]
    columns = (
        Column(f"{title} ({zone_name()})"),
        Column("JOB", is_id=True),
        Column("NAME", cut=True),
        Column("TYPE", rank=1, cut=True),
        Column("ATTEMPT", rank=2),
        Column(last, is_id=column == "byWorkerId"),
    )
    rows = [
        (
            local_time(item[time]),
            item["jobId"],
            item["jobName"],
            item["type"],
            str(item["attempt"]),
            "" if column is None else item[column] or "",
        )
        for item in items
    ]
    print_table(columns, rows)


def _print(found: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        print_json(found)
        return ExitCode.DONE
    columns = (
        Column("WORKER", is_id=True),
        Column("STATE"),
        Column("HOST", rank=1, cut=True),
        Column("SLOTS"),
        Column("QUEUES", cut=True),
        Column("TYPES", rank=3, cut=True),
        Column(f"HEARTBEAT ({zone_name()})", rank=2),
    )
    print_table(columns, [_row(item) for item in found["items"]])
    return ExitCode.DONE


def _row(item: dict[str, Any]) -> tuple[str, ...]:
    state = "silent" if not item["alive"] else "draining" if item["draining"] else "alive"
    return (
        item["workerId"],
        state,
        item["host"],
        f"{item['slotsUsed']}/{item['slots']}",
        ", ".join(item["queues"]),
        ", ".join(item["types"]),
        local_time(item["heartbeatAt"]),
    )
