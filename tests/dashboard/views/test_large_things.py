"""A 5 MB value, 20,000 events in a job, 10,000 waiters: pages stay small and name their cuts."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from jobfleet_backends.sql.row_codec import EVENT_COLUMNS, OPEN_COLUMNS
from jobfleet_backends.sqlite.connection import connect
from jobfleet_backends.sqlite.database import FILE_NAME
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.message import MalformedMessage
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.life import Life

MAX_BYTES = 500_000
HTML = {"Accept": "text/html"}


async def _submit(client: AsgiClient, **fields: object) -> str:
    answer = await client.post("/api/jobs", {"type": "demo.steps", **fields})
    return str(answer.json["jobId"])


async def _look(client: AsgiClient, path: str, **query: object) -> str:
    body = (await client.request("GET", path, headers=HTML, query=query)).body
    assert len(body) < MAX_BYTES
    return body.decode()


def _copies(path: Path, table: str, columns: str, changed: dict[str, str], count: int) -> None:
    """Multiply a table's newest row; in the changed columns ``n`` is the number of the copy."""
    names = [name.strip() for name in columns.split(",")]
    values = ", ".join(changed.get(name, name) for name in names)
    numbers = "WITH RECURSIVE numbers (n) AS (VALUES (3) UNION ALL SELECT n + 1 FROM numbers"
    connection: sqlite3.Connection = connect(path / FILE_NAME)
    connection.execute(
        f"INSERT INTO {table} ({columns}) {numbers} WHERE n < ?) SELECT {values} "  # noqa: S608
        f"FROM numbers, (SELECT * FROM {table} ORDER BY created_at DESC, sequence DESC LIMIT 1)",
        (count,),
    )
    connection.close()


async def _with_many_steps(client: AsgiClient, life: Life, path: Path) -> str:
    job_id = await _submit(client)
    await life.start(job_id)
    changed = {
        "sequence": "n",
        "status": "'Step ' || (n - 2)",
        "event_id": "event_id || n",
        "lifecycle_before": "2",
    }
    _copies(path, "trail", EVENT_COLUMNS, changed | {"message": "'walked ' || n"}, 20_000)
    return job_id


async def test_a_job_of_20000_events_shows_its_newest_and_pages_back(
    client: AsgiClient, life: Life, tmp_path: Path
) -> None:
    job_id = await _with_many_steps(client, life, tmp_path)
    page = await _look(client, f"/jobs/{job_id}")
    assert "19,998" in page
    assert "earlier events are not shown" not in page
    assert ("walked 20000" in page, "walked 19981" in page, "walked 19980" in page) == (
        True,
        True,
        False,
    )
    assert "The job has not started yet" not in page
    earlier = await _look(client, f"/jobs/{job_id}", before=19_751)
    assert "19,500 earlier events are not shown" in earlier
    assert ("walked 19750" in earlier, "walked 19751" in earlier) == (True, False)
    assert "hx-sse" not in earlier.partition("<main")[2]


async def test_the_first_page_of_a_long_history_leads_back_to_the_newest(
    client: AsgiClient, life: Life, tmp_path: Path
) -> None:
    job_id = await _with_many_steps(client, life, tmp_path)
    first = await _look(client, f"/jobs/{job_id}", before=200)
    assert "earlier events" not in first
    assert f'href="/jobs/{job_id}#history-title"' in first


async def test_a_result_of_5_mb_is_cut_and_the_cut_is_named(client: AsgiClient, life: Life) -> None:
    job_id = await _submit(client)
    await life.start(job_id)
    await life.complete(job_id, {"lines": ["x" * 100] * 50_000})
    page = await _look(client, f"/jobs/{job_id}")
    assert "characters more" in page
    assert f'href="/api/jobs/{job_id}"' in page


async def test_10000_waiters_of_a_lock_are_counted_up_to_a_thousand(
    client: AsgiClient, tmp_path: Path
) -> None:
    await _submit(client, lockKey="customer-42", jobName="bill")
    _copies(tmp_path, "open_jobs", OPEN_COLUMNS, {"job_id": "job_id || n"}, 10_002)
    page = await _look(client, "/locks")
    assert "1,000+" in page
    assert page.count(">bill</a>") <= 3
    (lock,) = (await client.get("/api/locks")).json["items"]
    assert (lock["waiting"], len(lock["waiters"])) == (1000, 10)


async def test_dead_jobs_beyond_a_page_are_on_the_next(
    client: AsgiClient, life: Life, tmp_path: Path
) -> None:
    job_id = await _submit(client)
    await life.start(job_id)
    await life.fail(job_id, "refused by host 7")
    columns = (
        "job_id, state, status, sequence, attempt, max_attempts, incarnation, epoch, message, "
        "updated_at, dismissed, job_name, job_type, queue, priority, created_at, lock_slots, search"
    )
    _copies(tmp_path, "jobs", columns, {"job_id": "job_id || n"}, 101)
    page = (await client.request("GET", "/dead-letters", headers=HTML)).body.decode()
    assert page.count('id="dead-0') == 50
    cursor = page.partition("/dead-letters?cursor=")[2].partition('"')[0].replace("%7E", "~")
    older = await _look(client, "/dead-letters", cursor=cursor.replace("%3A", ":"))
    assert older.count('id="dead-0') == 50


async def test_long_unreadable_messages_are_cut(client: AsgiClient, backend: Backend) -> None:
    for number in range(25):
        letter = MalformedMessage(b"<" * 40_000, f"no JSON {number}", None)
        await backend.dead_letters.add(letter, datetime.now(UTC))
    page = await _look(client, "/dead-letters")
    assert "The newest 20 messages are shown" in page
    assert "the API has up to 32,000 characters" in page
