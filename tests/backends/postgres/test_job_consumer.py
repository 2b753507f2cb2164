"""PostgresJobConsumer: what a lost worker held comes back, what a living one holds stays."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from jobfleet_backends.postgres import job_consumer
from jobfleet_backends.settings import Settings
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import BackendUnavailable
from tests.conformance.deliveries import consuming, received
from tests.conformance.jobs import a_message

pytestmark = pytest.mark.servers


def _sql(settings: Settings, begin: str, end: str = "") -> list[Any]:
    with psycopg.connect(settings.postgres_url.get_secret_value()) as session:
        cursor = session.execute(f"{begin} {settings.postgres_schema}.messages{end}".encode())
        return [] if cursor.description is None else cursor.fetchall()


async def test_what_a_lost_worker_held_comes_to_another_and_its_late_ack_removes_nothing(
    backend: Backend, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_consumer, "HOLD_RENEW_SECONDS", 3600)
    async with consuming(backend) as lost, consuming(backend) as heir:
        await backend.queue.publish(a_message())
        (held,) = await received(lost, 1)
        assert list(await heir.receive(1, timedelta(seconds=0.3))) == []
        held_for = "SELECT extract(epoch FROM visible_at - clock_timestamp())::float8 FROM"
        [(seconds,)] = _sql(settings, held_for)
        assert seconds <= 15
        _sql(settings, "UPDATE", " SET visible_at = clock_timestamp()")  # its 15 s have passed
        (again,) = await heir.receive(1, timedelta(seconds=5))
        assert again.message == held.message
        await held.ack()
        assert _sql(settings, "SELECT count(*) FROM") == [(1,)]
        await again.ack()
        assert _sql(settings, "SELECT count(*) FROM") == [(0,)]


async def test_a_living_worker_keeps_what_it_holds(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_consumer, "HOLD_SECONDS", 0.6)
    monkeypatch.setattr(job_consumer, "HOLD_RENEW_SECONDS", 0.1)
    async with consuming(backend) as holder, consuming(backend) as other:
        await backend.queue.publish(a_message())
        (held,) = await received(holder, 1)
        assert list(await other.receive(1, timedelta(seconds=1.2))) == []
        await held.ack()


_VALUES = [
    ("visible_at", "'infinity'"),
    ("visible_at", "'-infinity'"),
    ("unanswered", "-1"),
]
_INSERT = " (queue, body, {column}) VALUES ('default', '{{}}', {value})"


@pytest.mark.parametrize(("column", "value"), _VALUES)
def test_a_message_that_no_worker_could_take_is_refused(
    backend: Backend, settings: Settings, column: str, value: str
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match=f"{column}|moment"):
        _sql(settings, "INSERT INTO", _INSERT.format(column=column, value=value))


@pytest.fixture
def unchecked(settings: Settings) -> Iterator[None]:
    """The table as someone may have changed it; other tests find it as it was."""
    _sql(settings, "ALTER TABLE", " DROP CONSTRAINT messages_unanswered_check")
    _sql(settings, "ALTER TABLE", " ALTER COLUMN visible_at TYPE timestamptz")
    yield
    _sql(settings, "DELETE FROM")
    moment = f"{settings.postgres_schema}.moment"
    _sql(settings, "ALTER TABLE", f" ALTER COLUMN visible_at TYPE {moment}")
    check = "messages_unanswered_check CHECK (unanswered >= 0)"
    _sql(settings, "ALTER TABLE", f" ADD CONSTRAINT {check}")


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("column", "value"), [*_VALUES[1:], ("unanswered", "32767"), ("visible_at", "'4714-12-01 BC'")]
)
async def test_a_message_with_odd_numbers_is_delivered(
    backend: Backend, settings: Settings, column: str, value: str
) -> None:
    await backend.queue.publish(a_message())
    _sql(settings, "UPDATE", f" SET {column} = {value}")
    async with consuming(backend) as consumer:
        (delivery,) = await received(consumer, 1)
        await delivery.ack()
    assert _sql(settings, "SELECT count(*) FROM") == [(0,)]


@pytest.mark.usefixtures("unchecked")
async def test_a_row_that_cannot_be_counted_with_is_an_outage_that_names_the_table(
    backend: Backend, settings: Settings
) -> None:
    async with consuming(backend) as consumer:
        await backend.queue.publish(a_message())
        _sql(settings, "UPDATE", " SET visible_at = 'infinity'")
        with pytest.raises(BackendUnavailable, match="table messages holds a value"):
            await consumer.receive(1, timedelta(seconds=5))
