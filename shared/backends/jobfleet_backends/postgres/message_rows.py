"""Statements over the table ``messages``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobfleet_backends.postgres.batch import BatchStatement, Fields, Row
from jobfleet_backends.postgres.ranks import Rank
from jobfleet_backends.sql.message_codec import encode_message
from jobfleet_contracts.job import LANES, lane_of
from jobfleet_contracts.message import JobMessage

HOLD_SECONDS = 15.0
"""A delivery of a worker that died comes back after this time."""

MESSAGE_RECORD = "queue text, lane smallint, seconds float8, body text, hints text"
_PUBLISH = f"""
INSERT INTO jobfleet.messages (queue, lane, visible_at, body, hints)
SELECT queue, lane, clock_timestamp() + make_interval(secs => seconds), body, hints
FROM json_to_recordset(%s::json) AS rows (n int, {MESSAGE_RECORD}) ORDER BY n
RETURNING 0
"""
# Places are tried one after the other. No row is locked beyond the limit, because the join takes a
# place's rows only while the limit is not reached. The order of the answer is made by the caller.
# A message that came back unanswered is taken alone, because it may be what ended its worker: taken
# together with others, it would count against them too.
_TAKE = """
WITH places AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%s::json)
    AS places (n int, place int, queue text, lane smallint, most int, holder text)
    ORDER BY n, place
), ready AS MATERIALIZED (
    SELECT takers.n, found.* FROM (SELECT DISTINCT n, most FROM places) AS takers
    CROSS JOIN LATERAL (
        SELECT place, message, visible_at, holder, unanswered FROM places CROSS JOIN LATERAL (
            SELECT message, visible_at, unanswered FROM jobfleet.messages
            WHERE messages.queue = places.queue AND messages.lane = places.lane
                AND visible_at <= (SELECT clock_timestamp())
            ORDER BY visible_at, message LIMIT places.most FOR UPDATE SKIP LOCKED
        ) AS waiting WHERE places.n = takers.n LIMIT takers.most
    ) AS found
), taken AS (
    SELECT *, row_number() OVER turn AS number, bool_or(unanswered > 0) OVER turn AS is_apart
    FROM ready WINDOW turn AS (PARTITION BY n ORDER BY place, visible_at, message)
)
UPDATE jobfleet.messages SET holder = taken.holder,
    unanswered = least(messages.unanswered, 32766) + 1,
    visible_at = clock_timestamp() + make_interval(secs => {hold})
FROM taken WHERE messages.message = taken.message AND (number = 1 OR NOT is_apart)
RETURNING taken.n, taken.place, taken.visible_at, messages.message, body, hints, taken.unanswered
""".replace("{hold}", f"{HOLD_SECONDS:g}")
_ACKNOWLEDGE = """
DELETE FROM jobfleet.messages USING json_to_recordset(%s::json) AS rows (n int, message bigint,
    holder text)
WHERE messages.message = rows.message AND messages.holder = rows.holder RETURNING rows.n
"""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message, and seconds until it shows up."""

    message: JobMessage
    seconds: float


@dataclass(frozen=True, slots=True)
class Taking:
    """A worker that takes up to ``most`` messages from these queues and lanes, in this order."""

    places: Sequence[tuple[str, int]]
    most: int
    holder: str


@dataclass(frozen=True, slots=True)
class Held:
    """A message in a consumer's hands."""

    message: int
    holder: str


def message_fields(outgoing: Outgoing) -> Fields:
    """Return the columns of a message."""
    request = outgoing.message.request
    body, hints = encode_message(outgoing.message)
    return {
        "queue": request.queue,
        "lane": LANES.index(lane_of(request.priority)),
        "seconds": outgoing.seconds,
        "body": body.decode(),
        "hints": hints,
    }


def _taking_rows(taking: Taking) -> Sequence[Fields]:
    shared = {"most": taking.most, "holder": taking.holder}
    return [
        {"place": place, "queue": queue, "lane": lane, **shared}
        for place, (queue, lane) in enumerate(taking.places)
    ]


PUBLISH: BatchStatement[Outgoing, None] = BatchStatement(
    rank=Rank.MESSAGE,
    sql=_PUBLISH,
    rows=lambda outgoing: [message_fields(outgoing)],
    outcome=lambda _outgoing, _rows: None,
)
TAKE: BatchStatement[Taking, list[Row]] = BatchStatement(
    rank=Rank.TAKE,
    sql=_TAKE,
    rows=_taking_rows,
    outcome=lambda _taking, rows: [row[2:] for row in sorted(rows, key=lambda row: row[:3])],
    may_lag=True,
)
ACKNOWLEDGE: BatchStatement[Held, None] = BatchStatement(
    rank=Rank.ACKNOWLEDGE,
    sql=_ACKNOWLEDGE,
    rows=lambda held: [{"message": held.message, "holder": held.holder}],
    outcome=lambda _held, _rows: None,
    may_lag=True,
)
