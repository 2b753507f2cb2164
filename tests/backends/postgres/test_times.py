"""No table takes a time that some reader cannot represent."""

from __future__ import annotations

import psycopg
import pytest

from jobfleet_backends.settings import Settings
from jobfleet_contracts.backend import Backend

pytestmark = pytest.mark.servers

_COLUMNS = """
SELECT table_name, column_name, domain_name FROM information_schema.columns
WHERE table_schema = %s AND udt_name = 'timestamptz' AND table_name || column_name <> 'locksexpires'
"""


def test_each_time_is_one_that_readers_can_represent(backend: Backend, settings: Settings) -> None:
    with psycopg.connect(settings.postgres_url.get_secret_value(), autocommit=True) as session:
        columns = session.execute(_COLUMNS, (settings.postgres_schema,)).fetchall()
        assert len(columns) > 20
        assert {domain for _, _, domain in columns} == {"moment"}
        moment = f"{settings.postgres_schema}.moment"
        for odd in ("infinity", "-infinity", "4713-01-01 BC", "10000-01-01 UTC"):
            with pytest.raises(psycopg.errors.CheckViolation):
                session.execute(f"SELECT '{odd}'::timestamptz::{moment}".encode())
        for last in ("0001-01-01 UTC", "9999-12-31 23:59:59.999999 UTC"):
            session.execute(f"SELECT '{last}'::timestamptz::{moment}".encode())
