"""``jobfleet workers``: who works."""

from __future__ import annotations

from typing import Any

import typer

from jobfleet_cli.answer import print_json, print_table
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.pause_commands import Json
from jobfleet_cli.remote_dashboard import RemoteDashboard
from jobfleet_cli.session import Session, in_session
from jobfleet_cli.table import Column
from jobfleet_cli.zone import local_time, zone_name

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def workers(as_json: Json = False) -> None:
    """Print the workers of the last hour, longest running first."""

    async def work(session: Session) -> int:
        from jobfleet_dashboard.worker_list import worker_list

        backend, now = session.backend, session.clock.now()
        found = await worker_list(backend.directory, backend.trail, now)
        return _print(found.model_dump(mode="json", by_alias=True), as_json=as_json)

    async def ask(dashboard: RemoteDashboard) -> int:
        return _print(await dashboard.get("/api/workers"), as_json=as_json)

    raise typer.Exit(in_session(work, remote=ask))


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
