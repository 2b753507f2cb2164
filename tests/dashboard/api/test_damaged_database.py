"""A database file that the disk has damaged: probes and pages say what they checked."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_contracts.job_id import new_id
from tests.dashboard.api.conftest import client_of

JOBS = 60
ROOT = "SELECT rootpage FROM sqlite_master WHERE name = ?"
PAGE = {"Accept": "text/html"}


async def _filled(folder: Path) -> list[str]:
    """Store jobs that fill several pages of the file, and return their ids in order."""
    backend = await open_backend(Settings(data_dir=folder, _env_file=None))
    ids = [new_id() for _ in range(JOBS)]
    jobs = [{"jobId": one, "type": "x", "payload": "x" * 3000, "lockKey": "k"} for one in ids]
    assert (await client_of(backend).post("/api/jobs/bulk", {"jobs": jobs})).status == 202
    await backend.close()
    return ids


def _overwrite(folder: Path, query: str, *values: str) -> None:
    """Write over the page whose number the query returns."""
    file = folder / "jobfleet.db"
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = database.execute(query, values).fetchone()
        (size,) = database.execute("PRAGMA page_size").fetchone()
    with file.open("r+b") as opened:
        opened.seek((page - 1) * size)
        opened.write(b"\xa5" * size)


@pytest.mark.parametrize("table", ["trail", "jobs", "open_jobs", "locks", "messages", "workers"])
async def test_a_table_that_jobs_need_and_cannot_be_read_is_not_ready(
    tmp_path: Path, table: str
) -> None:
    await _filled(tmp_path)
    _overwrite(tmp_path, ROOT, table)
    backend = await open_backend(Settings(data_dir=tmp_path, _env_file=None))
    answer = await client_of(backend).get("/readyz")
    assert (answer.status, answer.json["status"]) == (503, "not ready")
    (check,) = answer.json["checks"]
    assert "is damaged" in check["detail"]
    assert "backup" in check["remedy"]
    await backend.close()


async def test_damage_that_a_request_meets_is_remembered_and_its_page_claims_nothing_else(
    tmp_path: Path,
) -> None:
    ids = await _filled(tmp_path)
    leaves = """SELECT pageno FROM dbstat WHERE name = 'trail' AND pagetype = 'leaf'
                ORDER BY path LIMIT 1 OFFSET 10"""
    try:
        _overwrite(tmp_path, leaves)
    except sqlite3.OperationalError:  # this SQLite has no dbstat: any page in the middle will do
        _overwrite(tmp_path, ROOT, "trail")
    backend = await open_backend(Settings(data_dir=tmp_path, _env_file=None))
    client = client_of(backend)
    met = [one for one in ids if (await client.get(f"/api/jobs/{one}")).status == 503]
    assert met
    assert (await client.get("/readyz")).status == 503
    page = await client.request("GET", f"/jobs/{met[0]}", headers=PAGE)
    text = page.body.decode()
    assert (page.status, "is damaged" in text) == (503, True)
    for claim in ("answers", "answered", "nothing accepted is lost", "go on as long as"):
        assert claim not in text, claim
    await backend.close()
