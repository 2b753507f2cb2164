"""Makes jobs exist in one statement: event 1, open row, their copies and the message."""

from __future__ import annotations

from jobfleet_backends.postgres.audit_trail import event_fields
from jobfleet_backends.postgres.batch import BatchStatement, Fields, Row
from jobfleet_backends.postgres.database import Database
from jobfleet_backends.postgres.message_rows import Outgoing, message_fields
from jobfleet_backends.postgres.notifier import Notifier
from jobfleet_backends.postgres.ranks import Rank
from jobfleet_backends.postgres.schema import record
from jobfleet_backends.sql.row_codec import EVENT_COLUMNS
from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.errors import SequenceTaken
from jobfleet_contracts.lookup_keys import keys_in
from jobfleet_contracts.transaction import Opening

_FACTS = "job_name, job_type, queue, priority, lock_key, created_at, lock_slots"
_BESIDE = (
    "published bigint, shown text, search text, keys json, "
    "lane smallint, seconds float8, body text, hints text, large_name text, large text"
)
# Each part inserts only where event 1 was inserted, which is the check that the job is new. No
# error is raised if it is not: an error would end a user's transaction. Jobs come in the order
# of their ids, so that two processes never wait for each other in a circle. An open row that stands
# already was written by a submitter whose event 1 never came.
OPEN_JOBS = f"""
WITH rows AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%s::text::json)
    AS rows (n int, {record(EVENT_COLUMNS)}, {_BESIDE})
), written AS (
    INSERT INTO jobfleet.trail ({EVENT_COLUMNS})
    SELECT {EVENT_COLUMNS} FROM rows ORDER BY job_id
    ON CONFLICT (job_id, sequence) DO NOTHING RETURNING job_id
), made AS (
    SELECT rows.* FROM rows JOIN written USING (job_id) ORDER BY job_id
), opened AS (
    INSERT INTO jobfleet.open_jobs AS it (job_id, incarnation, state, sequence, opened_at,
        updated_at, due_at, sent, published, {_FACTS})
    SELECT job_id, incarnation, state, sequence, occurred_at, occurred_at, due_at, sent, published,
        {_FACTS} FROM made
    ON CONFLICT (job_id, incarnation) DO UPDATE SET opened_at = excluded.opened_at,
        sequence = excluded.sequence, published = excluded.published
    WHERE it.sequence = 0
), listed AS (
    INSERT INTO jobfleet.jobs (job_id, state, status, sequence, attempt, max_attempts, incarnation,
        epoch, message, updated_at, due_at, dismissed, {_FACTS}, search)
    SELECT job_id, state, status, sequence, attempt, max_attempts, incarnation, epoch, shown,
        occurred_at, due_at, dismissed, {_FACTS}, search FROM made
    ON CONFLICT (job_id) DO NOTHING
), keyed AS (
    INSERT INTO jobfleet.job_keys SELECT key, value, created_at, job_id
    FROM made CROSS JOIN LATERAL json_each_text(keys) AS keys (key, value)
    ON CONFLICT DO NOTHING
), sent AS (
    INSERT INTO jobfleet.messages (queue, lane, visible_at, body, hints)
    SELECT queue, lane, clock_timestamp() + make_interval(secs => seconds), body, hints
    FROM made WHERE body IS NOT NULL ORDER BY n
), stored AS (
    INSERT INTO jobfleet.payloads SELECT large_name, convert_to(large, 'UTF8')
    FROM made WHERE large_name IS NOT NULL ON CONFLICT (name) DO NOTHING
)
"""
_WRITTEN = "SELECT n FROM made"


def opening_fields(opening: Opening) -> Fields:
    """Return what :data:`OPEN_JOBS` reads of one job, without ``n``."""
    event, facts = opening.event, opening.event.facts
    fields = event_fields(opening.stored) | {
        "published": opening.row.published,
        "shown": masked_text(event.message),  # the server searches it
        "search": f"{facts.job_name}\n{facts.lock_key or ''}".casefold(),
        "keys": keys_in(event),
    }
    if opening.message is not None:
        fields |= message_fields(Outgoing(opening.message, opening.delay_seconds))
    if opening.data is not None:
        name, body = opening.data
        fields |= {"large_name": name, "large": body.decode()}
    return fields


def _outcome(opening: Opening, written: list[Row]) -> None:
    if not written:
        raise SequenceTaken(f"job {opening.event.job_id} exists")


_OPENING: BatchStatement[Opening, None] = BatchStatement(
    rank=Rank.TRAIL,
    sql=OPEN_JOBS + _WRITTEN,
    rows=lambda opening: [opening_fields(opening)],
    outcome=_outcome,
    # Rows are identified by their job, because two openings of one job never share a transaction.
    key=lambda opening: opening.event.job_id,
)


class PostgresJobOpenings:
    """All jobs that are opened at the same time share one statement."""

    def __init__(self, *, database: Database, notifier: Notifier) -> None:
        self._database = database
        self._notifier = notifier

    async def write(self, opening: Opening) -> None:
        """Write all of it, or nothing if the job exists; committed when this returns."""
        queue = None if opening.message is None else opening.message.request.queue
        notification = self._notifier.with_commit(queue)
        await self._database.write(_OPENING, opening, notification=notification)
        if queue is not None and notification is None:
            self._notifier.notify(queue)
