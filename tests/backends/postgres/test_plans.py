"""Questions to many stored rows: each is answered by an index, and the hot tables stay small."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from jobfleet_backends.postgres.audit_trail import EVENT_NAMES
from jobfleet_backends.postgres.conditions import PostgresConditions
from jobfleet_backends.postgres.job_index import MARK, REMOVE
from jobfleet_backends.postgres.job_index_reader import _SINCE
from jobfleet_backends.postgres.job_lookup import look_up
from jobfleet_backends.postgres.lease_store import ACQUIRE, RELEASE_LOCK
from jobfleet_backends.postgres.message_rows import ACKNOWLEDGE, TAKE
from jobfleet_backends.postgres.page_query import PageQuery
from jobfleet_backends.postgres.schema import in_schema
from jobfleet_backends.settings import Settings
from jobfleet_backends.sql.list_conditions import event_ranges, job_ranges, keyed_tests
from jobfleet_backends.sql.row_codec import EVENT_COLUMNS, JOB_COLUMNS
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.codec import encode_text
from jobfleet_contracts.error_group import ErrorKey
from jobfleet_contracts.index import EventQuery, JobQuery
from jobfleet_contracts.state import State
from jobfleet_protocol.reading.search import narrow_events
from tests.conformance.jobs import a_message, queued, write

pytestmark = pytest.mark.servers

JOBS = 5_000
SQL = PostgresConditions()
NOW = datetime.now(UTC)
EVENT_QUERIES = {
    "last events": EventQuery(limit=50),
    "of a status": EventQuery(limit=50, statuses=frozenset({"Failed"})),
    "of failures": narrow_events(EventQuery(limit=50), "error:quota"),
    "of a type": narrow_events(EventQuery(limit=50), "type:RARE"),
    "of a worker, in a time": narrow_events(
        EventQuery(limit=50, since=NOW - timedelta(hours=1), until=NOW), "worker:e0de"
    ),
    "of a name": EventQuery(limit=50, job_name="job 77"),
    "of a time": EventQuery(limit=50, since=NOW - timedelta(hours=1), until=NOW),
}
JOB_QUERIES = {
    "last changed": JobQuery(limit=50),
    "of a state": JobQuery(limit=50, states=frozenset({State.FAILED})),
    "of a type": JobQuery(limit=50, job_type="rare"),
    "of a lock key": JobQuery(limit=50, lock_key="key 7"),
    "dead": JobQuery(limit=50, dead=True),
    "of an error group": JobQuery(limit=50, error_group=ErrorKey("t", "e", "p").group_id),
    "by id": JobQuery(limit=50, text="00000000-0000-7000-8000-000000000077"),
}
ROWS = {
    "events last events": 50,
    "events of a status": 50,
    "events of a type": JOBS // 500,
    "events of a name": 1,
    "jobs last changed": 50,
    "jobs of a state": 50,
    "jobs of a type": JOBS // 500,
    "jobs of a lock key": 1,
    "jobs dead": 50,
    "jobs of an error group": JOBS // 1000,
    "jobs by id": 1,
}
"""What each page holds, of those queries that find something."""
KEYED = JobQuery(limit=50, keys={"payload.customer": "c-07", "payload.order": "1"})


@pytest.fixture
def session(settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    url = settings.postgres_url.get_secret_value()
    with psycopg.connect(url, autocommit=True) as session:
        session.execute(f"SET search_path = {settings.postgres_schema}".encode())
        yield session


@pytest.fixture
async def many(backend: Backend, session: psycopg.Connection[Any]) -> None:
    """Some thousand jobs of different kinds, copied from one."""
    first = queued(begin=NOW - timedelta(days=2))
    await write(backend, first)
    number = "lpad(n::text, 12, '0')"
    changes = {
        "job_id": f"'00000000-0000-7000-8000-' || {number}",
        "job_name": "'job ' || n",
        "job_type": "CASE WHEN n %% 500 = 0 THEN 'rare' ELSE 'demo.steps' END",
        "lock_key": "CASE WHEN n %% 10 = 0 THEN 'key ' || n / 10 END",
    }
    trail = changes | {
        "status": "CASE WHEN n %% 100 = 0 THEN 'Failed' ELSE 'Queued' END",
        "occurred_at": "occurred_at + n * interval '1 second'",
    }
    jobs = changes | {
        "state": "CASE WHEN n %% 100 = 0 THEN 'failed' ELSE 'completed' END",
        "updated_at": "updated_at + n * interval '1 second'",
        "error_group": f"CASE WHEN n %% 1000 = 0 THEN '{ErrorKey('t', 'e', 'p').group_id}' END",
    }
    for table, columns, changed in (
        ("trail", EVENT_COLUMNS, trail),
        ("jobs", f"{JOB_COLUMNS}, search", jobs),
    ):
        values = ", ".join(changed.get(name, name) for name in columns.split(", "))
        session.execute(
            f"INSERT INTO {table} ({columns}) SELECT {values} "  # noqa: S608
            f"FROM {table}, generate_series(1, %s) AS n WHERE job_id = %s".encode(),
            (JOBS, first.job_id),
        )
        session.execute(f"ANALYZE {table}".encode())
    session.execute(
        "INSERT INTO job_keys SELECT key, value, created_at, job_id FROM jobs CROSS JOIN LATERAL "
        "(VALUES ('payload.customer', 'c-' || substr(job_id, 34, 2)), "
        "('payload.order', right(job_id, 1))) AS keys (key, value) WHERE job_id LIKE '00000000-%'"
    )
    session.execute("ANALYZE job_keys")


class _Explained:
    """A session that keeps the plan of each statement that it runs."""

    def __init__(self, session: psycopg.Connection[Any]) -> None:
        self._session = session
        self.plans: list[str] = []

    def execute(self, statement: str, values: tuple[Any, ...]) -> psycopg.Cursor[Any]:
        self.plans.append(_plan(self._session, statement, values))
        return self._session.execute(statement.encode(), values)


def _plan(session: psycopg.Connection[Any], statement: str, values: tuple[Any, ...]) -> str:
    rows = session.execute(f"EXPLAIN {statement}".encode(), values).fetchall()
    return "\n".join(line for (line,) in rows)


@pytest.mark.usefixtures("many")
async def test_each_page_is_a_range_of_an_index(
    backend: Backend, settings: Settings, session: psycopg.Connection[Any]
) -> None:
    pages = {
        **{
            f"events {name}": ("trail", EVENT_COLUMNS, "occurred_at", event_ranges(SQL, query))
            for name, query in EVENT_QUERIES.items()
        },
        **{
            f"jobs {name}": ("jobs", JOB_COLUMNS, "updated_at", job_ranges(SQL, query))
            for name, query in JOB_QUERIES.items()
        },
    }
    for name, (table, columns, time, ranges) in pages.items():
        page = PageQuery(
            schema=settings.postgres_schema,
            table=table,
            columns=columns,
            time=time,
            limit=50,
            ranges=ranges,
        )
        for conditions in ranges:
            plan = _plan(session, *page.statement(conditions))
            assert "Index Scan" in plan, f"{name}:\n{plan}"
            assert "Seq Scan" not in plan, f"{name}:\n{plan}"
    followed = _plan(session, in_schema(_SINCE, settings.postgres_schema), ("3", 0, 500))
    assert "Index Scan using trail_live" in followed, followed
    found = {
        **{
            f"events {name}": len((await backend.reader.events(query)).items)
            for name, query in EVENT_QUERIES.items()
        },
        **{
            f"jobs {name}": len((await backend.reader.jobs(query)).items)
            for name, query in JOB_QUERIES.items()
        },
    }
    assert {name: rows for name, rows in found.items() if rows} == ROWS
    assert len(EVENT_NAMES) == len(EVENT_COLUMNS.split(", "))


@pytest.mark.usefixtures("many")
async def test_jobs_of_two_payload_keys_are_a_range_of_an_index(
    backend: Backend, settings: Settings, session: psycopg.Connection[Any]
) -> None:
    explained: Any = _Explained(session)
    look_up(explained, settings.postgres_schema, KEYED, keyed_tests(SQL, KEYED))
    for plan in explained.plans:
        assert "Index" in plan, plan
        assert "Seq Scan" not in plan, plan
    page = await backend.reader.jobs(KEYED)
    # Numbers that end in 071, below 5,000.
    assert len(page.items) == JOBS // 1000
    assert {row.facts.job_id[-3:] for row in page.items} == {"071"}


async def test_what_workers_do_all_the_time_goes_by_indexes_from_the_first_row_on(
    backend: Backend, settings: Settings, session: psycopg.Connection[Any]
) -> None:
    """Nobody has counted the rows of a fresh schema: what is planned then is used for a while."""
    await backend.queue.publish(a_message())
    lock = [{"n": 0, "lock": "x", "lease_id": "y", "seconds": 1}]
    place = [{"n": 0, "place": 0, "queue": "default", "lane": 1, "most": 9, "holder": "h"}]
    message = [{"n": 0, "message": 1, "holder": "h"}]
    row = [{"n": 0, "job_id": "x", "incarnation": 1, "published": 1}]
    statements = {
        "take": (TAKE.sql, place, "messages"),
        "acknowledge": (ACKNOWLEDGE.sql, message, "messages"),
        "acquire": (ACQUIRE.sql, lock, "locks"),
        "release": (RELEASE_LOCK.sql, lock, "locks"),
        "published": (MARK.sql, row, "open_jobs"),
        "close": (REMOVE.sql, row, "open_jobs"),
    }
    session.execute("SET enable_seqscan = off")
    for name, (statement, values, table) in statements.items():
        text = in_schema(statement, settings.postgres_schema)
        plan = _plan(session, text, (encode_text(values),))
        assert f"Seq Scan on {table}" not in plan, f"{name}:\n{plan}"
