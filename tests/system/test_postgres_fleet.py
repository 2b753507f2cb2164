"""A whole fleet on PostgreSQL with one variable changed: submitted, run, shown, verified."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from devtools.servers import PostgresServer

pytestmark = [pytest.mark.servers, pytest.mark.system]


@pytest.fixture
def environment(postgres: PostgresServer, postgres_schema: str) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("JOBFLEET_")}
    return ours | {
        "JOBFLEET_BACKEND": "postgres",
        "JOBFLEET_POSTGRES_URL": postgres.url,
        "JOBFLEET_POSTGRES_SCHEMA": postgres_schema,
    }


def _run(arguments: str, environment: dict[str, str], folder: Path) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", "jobfleet_cli", *arguments.split()],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_the_demo_runs_and_its_trail_is_verified(
    environment: dict[str, str], postgres: PostgresServer, tmp_path: Path
) -> None:
    output = _run("demo --jobs 6 --port 0 --exit-when-done", environment, tmp_path)
    assert output.splitlines()[-1] == "6 completed, 0 failed"
    schema = environment["JOBFLEET_POSTGRES_SCHEMA"] + "_demo"
    environment |= {"JOBFLEET_POSTGRES_SCHEMA": schema}
    assert _run("migrate", environment, tmp_path) == "nothing to do\n"
    assert "ok    database" in _run("doctor", environment, tmp_path)
    assert "0 violations" in _run("audit verify --index", environment, tmp_path)
    exported = _run("audit export", environment, tmp_path).splitlines()
    with psycopg.connect(postgres.url) as session:
        ((stored,),) = session.execute(f"SELECT count(*) FROM {schema}.trail".encode()).fetchall()  # noqa: S608
    assert len(exported) >= stored
