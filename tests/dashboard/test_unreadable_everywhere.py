"""Whatever stored value somebody has edited: each page and route answers, and shows the rest."""

# ruff: noqa: S608 - tables and columns come from the schema

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_backends.sqlite import database as database_module
from jobfleet_backends.sqlite.connection import connect
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.codec import format_time
from jobfleet_contracts.control import ControlEntry, ControlKind, ControlSubject
from jobfleet_contracts.lease import key_lock
from jobfleet_contracts.message import MalformedMessage
from jobfleet_contracts.state import Status
from jobfleet_contracts.worker_status import RunningJob, WorkerStatus
from jobfleet_protocol.actions.group_counts import member_id
from jobfleet_protocol.trail.transitions import Change
from tests.dashboard.api.all_routes import addressed, all_routes
from tests.dashboard.api.asgi_client import Answer, AsgiClient
from tests.dashboard.api.conftest import client_of
from tests.dashboard.api.life import WORKER, Life
from tests.dashboard.api.test_jobs import submit

GARBAGE: tuple[Any, ...] = ("garbage", -7, b"\xff\x00")
NO_DATA = {"/docs", "/openapi.json", "/login", "/livez", "/readyz"}
NO_ROWS_OF_VIEWS = {"messages", "meta", "control_messages", "payloads"}
NO_ROWS_OF_VIEWS |= {"duration_buckets"}
"""Tables that no page or route reads row by row."""
OF_A_GROUP_OR_LIMIT = {"group_marks", "rates"}
"""Tables that no page or route asks for where there is neither."""


class Database:
    """The embedded backend's file, edited behind jobfleet's back."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(sqlite3.connect(path)) as database, database:
            triggers = database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            for (name,) in triggers.fetchall():
                database.execute(f"DROP TRIGGER {name}")

    def columns(self) -> Iterator[tuple[str, str]]:
        with closing(sqlite3.connect(self._path)) as database:
            tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            names = [name for (name,) in tables if not name.startswith("sqlite_")]
            for table in sorted(set(names) - NO_ROWS_OF_VIEWS):
                for column in database.execute(f"PRAGMA table_info({table})").fetchall():
                    yield table, column[1]

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self._path)) as database:
            return database.execute(f"SELECT * FROM {table}").fetchall()

    def spoil(self, table: str, column: str, value: Any) -> bool:
        """Return whether the database let it happen; types of columns are strict."""
        with closing(sqlite3.connect(self._path)) as database, database:
            try:
                database.execute(f"UPDATE OR REPLACE {table} SET {column} = ?", (value,))
            except sqlite3.IntegrityError:
                return False
            return True

    def restore(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        with closing(sqlite3.connect(self._path)) as database, database:
            database.execute(f"DELETE FROM {table}")
            if not rows:
                return
            marks = ", ".join("?" * len(rows[0]))
            database.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)


class Statements:
    """What the backend asks of the file."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def connect(self, path: Path, **options: Any) -> sqlite3.Connection:
        opened = connect(path, **options)
        opened.set_trace_callback(self._texts.append)
        return opened

    async def named_by(self, look: Awaitable[Answer], tables: Iterable[str]) -> set[str]:
        """Return which tables the statements of a page or route name."""
        self._texts.clear()
        assert (await look).status < 500
        words = set(re.findall(r"\w+", " ".join(self._texts)))
        return words & set(tables)


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Statements:
    made = Statements()
    monkeypatch.setattr(database_module, "connect", made.connect)
    return made


@pytest.fixture
async def backend(tmp_path: Path, statements: Statements) -> AsyncIterator[Backend]:
    """The embedded backend, whose statements are noted."""
    opened = await open_backend(Settings(data_dir=tmp_path, _env_file=None))
    yield opened
    await opened.close()


@pytest.fixture
async def job_id(client: AsgiClient, backend: Backend, life: Life) -> str:
    """One job of each kind of row that is stored: worker, lock, note, letter, ended, waiting."""
    held = await submit(client, lockKey="k")
    await life.start(held)
    await life.step(held, 1, of=2)
    ended = await submit(client, lockKey="k")
    await life.start(ended)
    await life.fail(ended)
    cancelled = await submit(client)
    await life.write(cancelled, Change(kind=Status.CANCELLED))
    await submit(client, lockKey="k")
    now = datetime.now(UTC)
    running = RunningJob(job_id=held, started_at=now, lease_seconds_left=9.0)
    status = WorkerStatus(
        worker_id=WORKER,
        host="h",
        started_at=now - timedelta(minutes=1),
        heartbeat_at=now,
        slots=2,
        queues=("default",),
        types=("demo.steps",),
        running=(running,),
    )
    await backend.directory.beat(status)
    await backend.leases.create(key_lock("k"))
    await backend.leases.acquire(key_lock("k"), "lease", 60)
    await backend.locks.write_note(key_lock("k"), "lease", {"turn": "1", "job": held})
    letter = MalformedMessage(body=b"{", reason="no JSON", message_id=None)
    await backend.dead_letters.add(letter, now)
    await backend.index.flush()
    return held


def _looks(client: AsgiClient, job_id: str) -> list[tuple[str, dict[str, Any]]]:
    paths = {
        addressed(route, job_id)
        for route in all_routes(client.app)
        if "GET" in (route.methods or ())
        and "stream" not in route.path
        and route.path not in NO_DATA
    }
    looks: list[tuple[str, dict[str, Any]]] = [(path, {}) for path in sorted(paths)]
    looks += [("/api/jobs", {"view": "jobs"}), ("/jobs", {"state": "failed"})]
    looks += [("/submit", {"from": job_id}), (f"/jobs/{job_id}", {"before": 3})]
    return [look for look in looks if "{" not in look[0]]


async def test_no_edited_column_of_any_table_takes_a_page_or_route_down(
    client: AsgiClient, job_id: str, backend: Backend, tmp_path: Path, statements: Statements
) -> None:
    """Each value is put before the pages and routes that ask for the table; no other can meet it.

    Each is asked for its tables in a dashboard of its own, which has kept no answer.
    """
    database = Database(tmp_path / "jobfleet.db")
    columns = list(database.columns())
    tables = {table for table, _ in columns}
    looks = _looks(client, job_id)
    assert len(looks) > 15
    asking: dict[str, list[tuple[str, dict[str, Any]]]] = {table: [] for table in tables}
    for path, query in looks:
        for table in await statements.named_by(client_of(backend).get(path, **query), tables):
            asking[table].append((path, query))
    assert {table for table, asked_by in asking.items() if not asked_by} <= OF_A_GROUP_OR_LIMIT
    failures: list[str] = []
    spoiled = 0
    for table, column in columns:
        if not (before := database.rows(table)):
            continue  # nothing to edit
        for value in GARBAGE:
            if not database.spoil(table, column, value):
                continue
            spoiled += 1
            for path, query in asking[table]:
                answer = await client.get(path, **query)
                if answer.status >= 500:
                    failures.append(f"{path} {query}: {table}.{column} = {value!r}")
            database.restore(table, before)
    assert spoiled > 50
    assert not failures, "\n".join([f"{len(failures)} failures", *failures[:30]])


async def test_no_edited_row_of_a_group_takes_its_routes_down(
    client: AsgiClient, tmp_path: Path
) -> None:
    group = (await client.post("/api/groups", {"name": "imports"})).json["jobId"]
    jobs = [{"type": "demo.steps"}] * 2
    await client.post(f"/api/groups/{group}/members", {"first": 0, "jobs": jobs})
    await client.post(f"/api/groups/{group}/seal", {"total": 2})
    await client.post(f"/api/jobs/{member_id(group, 0)}/cancel")
    database = Database(tmp_path / "jobfleet.db")
    statuses = set()
    for table, column in [
        each for each in database.columns() if each[0] in ("trail", "group_marks")
    ]:
        before = database.rows(table)
        for value in (*GARBAGE, "{}"):
            if not database.spoil(table, column, value):
                continue
            answer = await client.get(f"/api/groups/{group}")
            assert answer.status < 500, f"{table}.{column} = {value!r}"
            statuses.add(answer.status)
            database.restore(table, before)
    assert statuses >= {200, 409}
    assert (await client.get(f"/api/groups/{group}")).json["states"] == {"cancelled": 1}


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("no JSON", "no JSON"),
        ("[]", "no JSON object"),
        ('{"slots": "many"}', "slots: "),
        ('{"heartbeat_at": "yesterday"}', "heartbeat_at: "),
    ],
)
async def test_a_worker_whose_row_cannot_be_read_is_shown_as_such_beside_the_others(
    client: AsgiClient, job_id: str, tmp_path: Path, status: str, reason: str
) -> None:
    now = format_time(datetime.now(UTC))
    with closing(sqlite3.connect(tmp_path / "jobfleet.db")) as database, database:
        row = ("other", now, now, status)
        database.execute("INSERT INTO workers VALUES (?, ?, ?, ?)", row)
    workers = {one["workerId"]: one for one in (await client.get("/api/workers")).json["items"]}
    assert workers[WORKER]["unreadable"] is None
    assert workers["other"]["unreadable"].startswith(reason)
    assert "cannot be read" in (await client.get("/workers")).body.decode()


async def test_a_worker_of_a_newer_or_older_version_is_shown_with_what_is_known(
    client: AsgiClient, backend: Backend, tmp_path: Path
) -> None:
    now = format_time(datetime.now(UTC))
    for worker, fields in (
        ("newer", {"host": "h", "gpu": 3, "running": [{"job_id": "j", "phase": "late"}]}),
        ("older", {}),
    ):
        with closing(sqlite3.connect(tmp_path / "jobfleet.db")) as database, database:
            text = orjson.dumps({"heartbeat_at": now} | fields).decode()
            database.execute("INSERT INTO workers VALUES (?, ?, ?, ?)", (worker, now, now, text))
    newer, older = (await client.get("/api/workers")).json["items"]
    assert (newer["host"], newer["running"][0]["jobId"], newer["unreadable"]) == ("h", "j", None)
    assert (older["host"], older["slots"], older["unreadable"]) == ("", 0, None)


@pytest.mark.parametrize("sequence", [1, 2, 3])
async def test_an_unreadable_row_of_a_trail_stands_in_its_place_and_the_rest_is_told(
    client: AsgiClient, job_id: str, tmp_path: Path, sequence: int
) -> None:
    Database(tmp_path / "jobfleet.db")
    with closing(sqlite3.connect(tmp_path / "jobfleet.db")) as database, database:
        statement = "UPDATE trail SET data = '{no' WHERE job_id = ? AND sequence = ?"
        database.execute(statement, (job_id, sequence))
    job = (await client.get(f"/api/jobs/{job_id}")).json
    statuses = [event["status"] for event in job["events"]]
    expected = ["Queued", "Started", "Step 1"]
    expected[sequence - 1] = "Unreadable"
    assert statuses == expected
    assert job["state"] == "running"
    assert job["jobId"] == job_id
    page = (await client.get(f"/jobs/{job_id}")).body.decode()
    assert "Unreadable" in page
    logs = (await client.get(f"/api/jobs/{job_id}/logs")).json["items"]
    assert len(logs) == (0 if sequence == 2 else 1)


@pytest.mark.parametrize("value", [5, True, None, [], {"a": 1}, "garbage"], ids=repr)
async def test_no_edited_entry_of_a_control_log_takes_a_route_down(
    client: AsgiClient, backend: Backend, value: Any
) -> None:
    names = ["subject", "name", "jobId", "actionId", "action", "tick", "count", "runningJobId"]
    names += ["reason", "slots", "rate", "burst", "removed", "paused", "open", "definition"]
    fields = dict.fromkeys(names, value)
    for subject, name, kind in (
        (ControlSubject.ACTION, "journal", ControlKind.ASKED),
        (ControlSubject.SCHEDULE, "nightly", ControlKind.FIRED),
        (ControlSubject.LIMIT, "nightly", ControlKind.SET),
    ):
        entry = ControlEntry(
            subject=subject,
            name=name,
            sequence=1,
            entry_id="1",
            kind=kind,
            by="somebody",
            occurred_at=datetime.now(UTC),
            details=fields,
            state=fields,
        )
        await backend.control_log.insert(entry)
    for path in (
        "/api/actions",
        "/api/schedules",
        "/api/schedules/nightly/history",
        "/api/limits/nightly/history",
    ):
        answer = await client.get(path)
        assert answer.status == 200, path
        assert answer.json["items"] or path == "/api/schedules", path
    assert (await client.get("/api/limits")).status == 200


@pytest.mark.parametrize("field", ["declaredBy", "lastJobId"])
async def test_an_edited_state_of_a_schedule_hides_none_of_the_others(
    client: AsgiClient, backend: Backend, field: str
) -> None:
    for name in ("nightly", "weekly"):
        rule = {"type": "demo.steps", "cron": "0 6 * * *"}
        await client.request("PUT", f"/api/schedules/{name}", body=rule)
    newest = await backend.control_log.newest(ControlSubject.SCHEDULE, "nightly")
    assert newest is not None
    edited = replace(newest, sequence=2, entry_id="2", state={**newest.state, field: 5})
    await backend.control_log.insert(edited)
    listed = (await client.get("/api/schedules")).json["items"]
    assert [each["name"] for each in listed] == ["nightly", "weekly"]


@pytest.mark.parametrize("edit", ["data = ''", "due_at = 'x'", "locks = '5'"])
async def test_an_action_on_a_job_whose_newest_row_cannot_be_read_is_refused_and_names_the_row(
    client: AsgiClient, job_id: str, tmp_path: Path, edit: str
) -> None:
    Database(tmp_path / "jobfleet.db")
    with closing(sqlite3.connect(tmp_path / "jobfleet.db")) as database, database:
        database.execute(f"UPDATE trail SET {edit} WHERE job_id = ? AND sequence = 3", (job_id,))
    for action in ("cancel", "redrive", "dismiss", "erase"):
        body = {"reason": "asked"} if action in ("cancel", "erase") else None
        answer = await client.post(f"/api/jobs/{job_id}/{action}", body)
        assert answer.status == 409, action
        assert f"job {job_id}: its event 3 cannot be read" in answer.json["detail"]


async def test_an_edited_row_of_the_journal_hides_no_other_and_what_follows_is_noted(
    client: AsgiClient, tmp_path: Path
) -> None:
    for queue in ("mail", "reports"):
        await client.post(f"/api/queues/{queue}/pause")
    Database(tmp_path / "jobfleet.db")
    with closing(sqlite3.connect(tmp_path / "jobfleet.db")) as database, database:
        edit = "UPDATE control_log SET occurred_at = 'aaaa' WHERE name = 'journal' AND sequence = 2"
        database.execute(edit)
    assert (await client.post("/api/queues/mail/resume")).status < 300
    kinds = [each["kind"] for each in (await client.get("/api/actions")).json["items"]]
    assert kinds == ["Resumed", "Unreadable", "Paused"]


@pytest.mark.parametrize("edit", ["state = '['", "state = '{}'", "occurred_at = 'x'"])
async def test_an_action_whose_newest_entry_cannot_be_read_is_refused_and_names_the_entry(
    client: AsgiClient, backend: Backend, tmp_path: Path, edit: str
) -> None:
    Database(tmp_path / "jobfleet.db")
    action_id = str(uuid4())
    known = ControlEntry(
        subject=ControlSubject.ACTION,
        name=action_id,
        sequence=1,
        entry_id="1",
        kind=ControlKind.ASKED,
        by="somebody",
        occurred_at=datetime.now(UTC),
    )
    await backend.control_log.insert(known)
    with closing(sqlite3.connect(tmp_path / "jobfleet.db")) as database, database:
        database.execute(f"UPDATE control_log SET {edit}")
    answers = [await client.get(f"/api/actions/{action_id}{part}") for part in ("", "/results")]
    answers.append(await client.post(f"/api/actions/{action_id}/stop"))
    for answer in answers:
        assert answer.status == 409
        assert f"action {action_id}: its entry 1 cannot be read" in answer.json["detail"]
    assert (await client.get(f"/api/actions/{uuid4()}")).status == 404
