"""Whatever column of Azure's tables somebody has edited: no check or list ends, none says clean.

A table takes a value of any kind in any column, so each column is tried with one of each kind.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.data.tables import EdmType, EntityProperty, UpdateMode
from azure.data.tables.aio import TableClient, TableServiceClient

from devtools.servers import RabbitMQServer, StorageServer
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.job_history import show_job
from jobfleet_cli.job_list import list_jobs
from jobfleet_cli.trail_export import TrailExport
from jobfleet_cli.trail_verification import TrailVerification
from jobfleet_contracts.control import ControlSubject
from jobfleet_contracts.errors import JobfleetError
from jobfleet_contracts.index import EventQuery, JobQuery
from jobfleet_contracts.state import Status
from jobfleet_protocol.control.pauses import Pauses
from jobfleet_protocol.trail.transitions import Change
from tests.system.azure_workshop import azure_settings
from tests.system.moved_fleet import Fleet, opened

pytestmark = pytest.mark.servers

HOSTILE: tuple[Any, ...] = (
    *("garbage", "", "\x1b[31m", -7, 2**31 - 1, 1.5, True, b"\xff", None, uuid.UUID(int=7)),
    *(EntityProperty(2**62, EdmType.INT64), datetime(1601, 1, 1, tzinfo=UTC)),
)
KEYS = ("PartitionKey", "RowKey")


@dataclass
class _Storage:
    """The fleet, and its tables for an editor."""

    fleet: Fleet
    tables: TableServiceClient
    trail: str

    def __post_init__(self) -> None:
        self.job_id = self.fleet.jobs["ended"]

    def table(self, name: str) -> TableClient:
        return self.tables.get_table_client(f"{self.trail}{name}")


@pytest.fixture
async def storage(rabbitmq: RabbitMQServer, azurite: StorageServer) -> AsyncIterator[_Storage]:
    """Jobs that failed and wait, and a pause."""
    settings = azure_settings(rabbitmq.url, azurite.connection_string)
    async with (
        opened(settings) as fleet,
        TableServiceClient.from_connection_string(azurite.connection_string) as tables,
    ):
        bench, real = fleet.bench, fleet.bench.real
        claimed = await bench.claimed(await bench.submit(lock_key="k"))
        step = Change(kind=Status.STEP, step=1, worker_id="w1", data={"step": 1})
        await claimed.trail.write(lambda _: [step])
        await bench.end(claimed, "Failed")
        fleet.jobs["ended"] = claimed.request.job_id
        await bench.submit()
        ports: dict[str, Any] = {"log": real.control_log, "clock": bench.clock}
        pauses = Pauses(control=real.control, **ports)
        await pauses.pause(ControlSubject.QUEUE, "mail", by="operator", reason="")
        await real.marks.insert(f"{fleet.jobs['ended']}~0", "0", "completed")
        await real.index.flush()
        yield _Storage(fleet, tables, settings.audit_table)


def _edits(entity: Mapping[str, Any]) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Yield the entity once for each column and value, with what differs."""
    for column in entity:
        for value in HOSTILE:
            if column in KEYS or value == entity[column]:
                continue
            edited = {**entity, column: value}
            if value is None:
                del edited[column]
            yield column, value, edited


def _verify(storage: _Storage, job_id: str | None) -> Callable[[], Awaitable[ExitCode]]:
    def run() -> Awaitable[ExitCode]:
        verification = TrailVerification(
            job_id=job_id, count_drift=True, fetch_data=True, heads=None, as_json=True
        )
        return verification.run(storage.fleet.session)

    return run


async def _problem(command: Callable[[], Awaitable[Any]]) -> Any:
    """Return the answer, or as text what a user would see in its place."""
    try:
        return await command()
    except JobfleetError:
        return ExitCode.NO
    except Exception as error:  # noqa: BLE001 - whatever a user would see as a traceback
        return f"{type(error).__name__}: {error}"


async def test_each_edited_column_of_the_trail_is_found(storage: _Storage) -> None:
    table, failures = storage.table(""), list[str]()
    rows = table.query_entities("PartitionKey eq @job", parameters={"job": storage.job_id})
    newest = dict(await anext(aiter(rows)))
    assert newest["Status"] == "Failed"
    for column, value, edited in _edits(newest):
        await table.upsert_entity(edited, mode=UpdateMode.REPLACE)
        problem = await _problem(_verify(storage, storage.job_id))
        if problem is not ExitCode.NO:
            failures.append(f"{column} = {value!r}: {problem}")
    assert not failures, "\n".join([f"{len(failures)} failures", *failures[:30]])


@pytest.mark.parametrize("name", ["", "JobIndex", "JobControl", "JobGroups"])
async def test_no_edited_entity_ends_a_check_or_a_list(name: str, storage: _Storage) -> None:
    session, real = storage.fleet.session, storage.fleet.bench.real
    table, added = storage.table(name), 0
    before = [dict(entity) async for entity in table.list_entities()]
    kinds = {(len(each), each["RowKey"][:2]): each for each in before} if name else {0: before[0]}
    for entity in kinds.values():
        for _, _, edited in _edits(entity):
            own = str(uuid.uuid4())
            key = {"RowKey": f"{edited['RowKey'][:-8]}{own[:8]}"} if name else {"PartitionKey": own}
            await table.upsert_entity(edited | key, mode=UpdateMode.REPLACE)
            added += 1
    assert added > len(HOSTILE) / 2
    day_ago = session.clock.now() - timedelta(days=1)
    commands: dict[str, Callable[[], Awaitable[Any]]] = {
        "verify": _verify(storage, None),
        "export": lambda: TrailExport(job_id=None, out=None, raw=True).run(session),
        "show": lambda: show_job(session, storage.job_id, as_json=False),
        "list": lambda: list_jobs(session, JobQuery(), as_json=False),
        "events": lambda: real.reader.events(EventQuery()),
        "census": real.reader.census,
        "errors": lambda: real.reader.errors(since=day_ago, step="minute"),
        "types": lambda: real.reader.run_times(since=day_ago),
        "locks": real.reader.lock_uses,
        "open rows": lambda: real.reader.open_rows(limit=1000),
        "retention": lambda: _retention(storage),
    }
    answers = {asked: await _problem(command) for asked, command in commands.items()}
    assert {asked: answer for asked, answer in answers.items() if isinstance(answer, str)} == {}
    if not name:
        assert answers["verify"] is ExitCode.NO


async def _retention(storage: _Storage) -> None:
    retention = storage.fleet.bench.real.retention
    assert retention is not None
    await retention.ended_before(storage.fleet.session.clock.now() + timedelta(days=1))
