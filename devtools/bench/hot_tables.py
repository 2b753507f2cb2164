"""Do tables whose rows come and go keep their size over many jobs? On a PostgreSQL of its own.

Jobs come in parts; submitter and worker run in this process. The server cleans up by itself.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg
from pydantic import SecretStr

from devtools.bench.growth import run_all
from devtools.bench.jobfleet_queue import submit_all
from devtools.bench.machine import load
from devtools.servers import choose_own_postgres
from jobfleet_backends.open_backend import migrate_backend, open_backend
from jobfleet_backends.settings import Settings
from jobfleet_cli.event_loop import run_async

JOBS = 1_000_000
PART = 20_000
TABLES = ("messages", "open_jobs", "locks", "state_counts")
_SIZES = """
SELECT relname, pg_total_relation_size(relid) / 1024, n_dead_tup FROM pg_stat_user_tables
WHERE schemaname = 'jobfleet' AND relname = ANY(%s)
"""


@dataclass(frozen=True, slots=True)
class HotTables:
    """What the tables hold after so many jobs.

    Attributes:
        run_per_second: jobs of the last part, without their submits.
        kib: size of each table with its indexes.
        dead_rows: of all of them, as the server counts.
    """

    done: int
    run_per_second: float
    kib: dict[str, int]
    dead_rows: int
    load: float


def measure(jobs: int = JOBS, *, part: int = PART) -> list[HotTables]:
    """Run the jobs on an empty database, and look after each part of them."""
    with tempfile.TemporaryDirectory(prefix="jobfleet-bench-") as folder:
        server = choose_own_postgres(Path(folder))
        server.start()
        settings = Settings(
            _env_file=None,
            backend="postgres",
            postgres_url=SecretStr(server.url),
            concurrency=100,
            lock_scope="worker",
        )
        try:
            migrate_backend(settings)
            return run_async(_measured(settings, jobs, min(part, jobs)))
        finally:
            server.stop()


def table(found: Sequence[HotTables]) -> str:
    """Return lines of figures."""
    columns = "".join(f"{name:>14}" for name in TABLES)
    header = f"{'jobs done':>10}{'jobs/s':>8}{columns}{'dead rows':>11}{'load':>7}"
    return "\n".join(["Hot tables on PostgreSQL, KiB", header, *map(_line, found)])


def as_json(found: Sequence[HotTables]) -> list[dict[str, Any]]:
    """Return every measurement."""
    return [asdict(one) for one in found]


async def _measured(settings: Settings, jobs: int, part: int) -> list[HotTables]:
    backend = await open_backend(settings)
    found: list[HotTables] = []
    try:
        for done in range(part, jobs + 1, part):
            await submit_all(backend, settings, part)
            seconds = await run_all(backend, settings, part)
            found.append(_look(settings, done, part / seconds))
            print(f"  {_line(found[-1])}", file=sys.stderr, flush=True)
    finally:
        await backend.close()
    return found


def _look(settings: Settings, done: int, run_per_second: float) -> HotTables:
    with psycopg.connect(settings.postgres_url.get_secret_value()) as session:
        rows = session.execute(_SIZES, (list(TABLES),)).fetchall()
    return HotTables(
        done=done,
        run_per_second=run_per_second,
        kib={name: size for name, size, _ in rows},
        dead_rows=sum(dead for _, _, dead in rows),
        load=load(),
    )


def _line(one: HotTables) -> str:
    sizes = "".join(f"{one.kib[name]:>14,}" for name in TABLES)
    return f"{one.done:>10,}{one.run_per_second:>8,.0f}{sizes}{one.dead_rows:>11,}{one.load:>7.1f}"
