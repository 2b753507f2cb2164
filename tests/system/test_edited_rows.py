"""Whatever column somebody has edited: checks, exports and lists end in time, and none says clean.

Each column of each table is tried with values that no writer writes. What is edited in the trail,
``audit verify`` must find.
"""

# ruff: noqa: S608 - tables and columns come from the schema

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from jobfleet_backends.settings import Settings
from jobfleet_backends.sqlite.database import Database
from jobfleet_backends.sqlite.undecodable_text import UndecodableText
from jobfleet_backends.system_clock import SystemClock
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.job_history import show_job
from jobfleet_cli.job_list import list_jobs
from jobfleet_cli.trail_export import TrailExport
from jobfleet_cli.trail_rebuild import rebuild_index
from jobfleet_cli.trail_verification import TrailVerification
from jobfleet_contracts.control import ControlKind, ControlSubject
from jobfleet_contracts.errors import BackendError, JobfleetError, RowUnreadable
from jobfleet_contracts.index import JobQuery
from jobfleet_contracts.state import Status
from jobfleet_protocol.control.limits import Limits
from jobfleet_protocol.control.pauses import Pauses
from jobfleet_protocol.trail.transitions import Change
from tests.system.moved_fleet import LARGE, Fleet, opened

NOT_UTF8 = b"20\xff"
HOSTILE: tuple[Any, ...] = ("garbage", "", "\x1b[31m", -7, 2**62, None, NOT_UTF8)
FLAGS = {"sent", "cancel_requested", "dismissed"}
"""Of these, only whether they are 0 is stored as far as any reader sees."""
UNCOVERED = {"position"}
"""The order of commits: the index follows it, and no hash covers it."""


TABLES = ("trail", "control_log", "jobs", "open_jobs", "payloads", "group_marks")
"""What the commands below read."""


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    """Jobs that ended, wait and hold locks; a pause and a limit; values apart from their rows."""
    async with opened(Settings(backend="embedded", data_dir=tmp_path)) as made:
        bench, real = made.bench, made.bench.real
        claimed = await bench.claimed(await bench.submit(lock_key="k", payload=LARGE))
        step = Change(kind=Status.STEP, step=1, worker_id="w1", data={"step": 1})
        await claimed.trail.write(lambda _: [step])
        await bench.end(claimed)
        made.jobs["ended"] = claimed.request.job_id
        await bench.submit()
        ports: dict[str, Any] = {"log": real.control_log, "clock": bench.clock}
        pauses, limits = (
            Pauses(control=real.control, **ports),
            Limits(control=real.control, **ports),
        )
        await pauses.pause(ControlSubject.QUEUE, "mail", by="operator", reason="")
        await limits.set("crm", slots=1, rate=None, by="operator", reason="")
        await real.payloads.put(f"{claimed.request.job_id}/9/apart", b"{}")
        await real.marks.insert(claimed.request.job_id, "0", "completed")
        await real.index.flush()
        yield made


class _Editor:
    """The database file, edited behind jobfleet's back."""

    def __init__(self, path: Path, table: str) -> None:
        self._path = path
        self._table = table
        with self._open() as database:
            triggers = database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            for (name,) in triggers.fetchall():
                database.execute(f"DROP TRIGGER {name}")
            columns = database.execute(f"PRAGMA table_info({table})").fetchall()
            self.columns = [column[1] for column in columns]
            self._rows = database.execute(f"SELECT * FROM {table}").fetchall()

    def edits(self, column: str) -> Iterator[Any]:
        """Yield each value after it was put into the column of the table's newest row."""
        before = self._rows[-1][self.columns.index(column)]
        for value in HOSTILE:
            if value == before or not self._put(column, value):
                continue
            yield value
            self._restore()

    def was_flag(self, column: str, value: Any) -> bool:
        before = self._rows[-1][self.columns.index(column)]
        return column in FLAGS and bool(before) == bool(value)

    def _open(self) -> closing[sqlite3.Connection]:
        return closing(sqlite3.connect(self._path, isolation_level=None, timeout=60))

    def _put(self, column: str, value: Any) -> bool:
        """Return whether the database let it happen; types of columns are strict."""
        shown = "CAST(? AS TEXT)" if value == NOT_UTF8 else "?"
        place = " AND ".join(f"{name} IS ?" for name in self.columns)
        edit = f"UPDATE OR REPLACE {self._table} SET {column} = {shown} WHERE {place}"
        with self._open() as database:
            try:
                return database.execute(edit, (value, *self._rows[-1])).rowcount == 1
            except sqlite3.IntegrityError:
                return False

    def _restore(self) -> None:
        marks = ", ".join("?" * len(self.columns))
        with self._open() as database:
            database.execute("BEGIN")
            database.execute(f"DELETE FROM {self._table}")
            database.executemany(f"INSERT INTO {self._table} VALUES ({marks})", self._rows)
            database.execute("COMMIT")


def _commands(fleet: Fleet, table: str) -> Sequence[tuple[str, Callable[[], Awaitable[ExitCode]]]]:
    session, job_id = fleet.session, fleet.jobs["ended"]

    def verify() -> Awaitable[ExitCode]:
        run = TrailVerification(
            job_id=None, count_drift=True, fetch_data=True, heads=None, as_json=True
        )
        return run.run(session)

    checks = [
        ("verify", verify),
        ("export", lambda: TrailExport(job_id=None, out=None, raw=True).run(session)),
    ]
    if table not in ("trail", "jobs", "open_jobs"):
        return checks  # no list reads it
    return (
        *checks,
        ("show", lambda: show_job(session, job_id, as_json=False)),
        ("list", lambda: list_jobs(session, JobQuery(), as_json=False)),
    )


@pytest.mark.parametrize("table", TABLES)
async def test_no_edited_column_ends_a_check_or_list_and_a_changed_trail_is_found(
    table: str, fleet: Fleet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    editor, failures = _Editor(tmp_path / "jobfleet.db", table), list[str]()
    for column in editor.columns:
        for value in editor.edits(column):
            for name, command in _commands(fleet, table):
                problem = await _problem(command)
                if name == "verify" and table == "trail" and problem is ExitCode.DONE:
                    hidden = column in UNCOVERED or editor.was_flag(column, value)
                    problem = problem if hidden else "says clean"
                if isinstance(problem, str):
                    failures.append(f"{name}: {table}.{column} = {value!r}: {problem}")
            capsys.readouterr()
    assert not failures, "\n".join([f"{len(failures)} failures", *failures[:30]])


async def _problem(command: Callable[[], Awaitable[ExitCode]]) -> ExitCode | str:
    """Return the exit code, or what a user would see in its place."""
    try:
        async with asyncio.timeout(120):
            return await command()
    except TimeoutError:
        return "it hangs"
    except BackendError as error:
        return f"it cannot read: {error}"
    except JobfleetError:  # a job that stands no more under its id, for instance
        return ExitCode.NO
    except Exception as error:  # noqa: BLE001 - whatever a user would see as a traceback
        return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE trail SET data = '{}' WHERE sequence = 1 AND job_id = ?",
        """UPDATE trail SET data = '{"request":1}' WHERE sequence = 1 AND job_id = ?""",
        """UPDATE trail SET data = '{"request":{}}' WHERE sequence = 1 AND job_id = ?""",
        "UPDATE trail SET sequence = 0 WHERE sequence = 1 AND job_id = ?",
        "DELETE FROM trail WHERE sequence = 1 AND job_id = ?",
    ],
)
async def test_a_first_event_that_holds_no_request_ends_no_rebuild(
    edit: str, fleet: Fleet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job_id = fleet.jobs["ended"]
    assert await rebuild_index(fleet.session) is ExitCode.DONE
    capsys.readouterr()
    _Editor(tmp_path / "jobfleet.db", "trail")
    with closing(sqlite3.connect(tmp_path / "jobfleet.db")) as database, database:
        database.execute(edit, (job_id,))
    assert await rebuild_index(fleet.session) is ExitCode.NO
    printed = capsys.readouterr().err
    assert f"job {job_id}: what follows it is not known" in printed
    assert "2 jobs, " in printed


async def test_a_row_that_is_not_utf8_is_named_and_hides_no_other(
    fleet: Fleet, tmp_path: Path
) -> None:
    real, job_id = fleet.bench.real, fleet.jobs["ended"]
    jobs = {history[0].job_id async for history in real.trail.scan()}
    logs = [(log[0].subject, log[0].name) async for log in real.control_log.scan()]
    _Editor(tmp_path / "jobfleet.db", "trail")
    with closing(sqlite3.connect(tmp_path / "jobfleet.db")) as database, database:
        edit = "SET message = CAST(x'ff' AS TEXT) WHERE job_id = ? AND sequence = 2"
        database.execute(f"UPDATE trail {edit}", (job_id,))
        database.execute("UPDATE control_log SET name = CAST(x'ff' AS TEXT) WHERE name = 'mail'")
        database.execute("UPDATE control_log SET subject = 'limit' WHERE subject = 'queue'")
    with pytest.raises(RowUnreadable, match=r"event 2 cannot be read .*message is not UTF-8"):
        await real.trail.read(job_id, 2)
    with pytest.raises(RowUnreadable, match="event 2 cannot be read"):
        await real.trail.history(job_id)
    found = [history async for history in real.trail.scan()]
    assert {history[0].job_id for history in found} == jobs
    [edited] = [event for history in found for event in history if not event.is_readable]
    assert (edited.job_id, edited.sequence) == (job_id, 2)
    assert "message is not UTF-8" in edited.message
    after = [log[0] async for log in real.control_log.scan()]
    assert len(after) == len(logs)
    [unread] = [entry for entry in after if entry.kind is ControlKind.UNREADABLE]
    assert unread.reason == "the row cannot be read: name is not UTF-8"


async def test_a_text_that_is_not_utf8_is_read_by_readers_and_the_writer(tmp_path: Path) -> None:
    database = Database(path=tmp_path / "jobfleet.db", clock=SystemClock())
    database.open()
    try:
        for ask in (database.read, database.write):
            text = await _cell(ask, "SELECT CAST(x'3230ff' AS TEXT)")
            assert text == "20\ufffd"
            assert isinstance(text, UndecodableText)
            assert await _cell(ask, "SELECT CAST(? AS TEXT) = CAST(x'3230ff' AS TEXT)", text) == 1
            assert type(await _cell(ask, "SELECT 'a'")) is str
    finally:
        await database.close()


async def _cell(ask: Callable[..., Awaitable[Any]], statement: str, *values: Any) -> Any:
    row = await ask(lambda connection: connection.execute(statement, values).fetchone())
    return row[0]
