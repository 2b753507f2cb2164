"""``jobfleet locks``: lock keys that jobs hold or wait for."""

from __future__ import annotations

from typing import Any

import typer

from jobfleet_cli.answer import print_json, print_table
from jobfleet_cli.answer_options import Json
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.remote_dashboard import RemoteDashboard
from jobfleet_cli.session import Session, in_session
from jobfleet_cli.table import Column

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def locks(as_json: Json = False) -> None:
    """Print up to 100 lock keys, held ones first, with their holders and waiters."""

    async def work(session: Session) -> int:
        from jobfleet_protocol.reading.lock_list import read_locks

        backend = session.backend
        found = await read_locks(
            locks=backend.locks, directory=backend.directory, reader=backend.reader
        )
        return _print({"items": [record.to_json() for record in found]}, as_json=as_json)

    async def ask(dashboard: RemoteDashboard) -> int:
        return _print(await dashboard.get("/api/locks"), as_json=as_json)

    raise typer.Exit(in_session(work, remote=ask))


def _print(found: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        print_json(found)
        return ExitCode.DONE
    columns = (
        Column("LOCK KEY", cut=True),
        Column("HELD"),
        Column("WAITING"),
        Column("HOLDERS", rank=1, cut=True),
    )
    print_table(columns, [_row(item) for item in found["items"]])
    return ExitCode.DONE


def _row(item: dict[str, Any]) -> tuple[str, ...]:
    holders = ", ".join(f"{one['jobName']} {one['jobId'][-8:]}" for one in item["holders"])
    return (item["lockKey"], f"{item['used']}/{item['slots']}", str(item["waiting"]), holders)
