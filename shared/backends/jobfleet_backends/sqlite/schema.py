"""Tables of the embedded database, readable with any SQL tool.

``cut_text`` in a trigger is a function of our connections: other programs insert no events.

Times are RFC 3339 text in UTC with six decimals, so that they sort. ``visible_at`` and ``expires``
are seconds of the machine's boot clock, which no step of the wall clock moves; at the first open
after a reboot they are set anew.
"""

from __future__ import annotations

from jobfleet_contracts.error_group import MAX_SAMPLE_CHARACTERS, MOST_GROUPS, NO_HANDLER
from jobfleet_contracts.run_times import (
    LEAST_MS,
    MOST_SLOW_RUNS,
    MOST_TYPES,
    OTHER_TYPES,
    UNTIMED,
)

VERSION = 11
"""``PRAGMA user_version`` of a file that this code can use."""

RETENTION_SWITCH = "retention"
"""While this name stands in ``meta``, rows of the trail may be deleted, or lose their values."""

_ENDINGS = """
-- How many jobs ended in each minute: timed and duration_ms are about those that ended an attempt.
CREATE TABLE endings (
    minute TEXT NOT NULL,
    state TEXT NOT NULL,
    jobs INTEGER NOT NULL,
    timed INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    PRIMARY KEY (minute, state)
) STRICT, WITHOUT ROWID;
-- A tombstone, and the seal before it, stand for an ending that was counted when it happened.
CREATE TRIGGER endings_counted AFTER INSERT ON trail
WHEN new.status IN ('Completed', 'Failed', 'Cancelled', 'TimedOut') AND new.sequence > 1
    AND new.data NOT LIKE '{"tombstone":true,%' BEGIN
    INSERT INTO endings VALUES (substr(new.occurred_at, 1, 16), new.state, 1,
        new.duration_ms IS NOT NULL, coalesce(new.duration_ms, 0))
    ON CONFLICT (minute, state) DO UPDATE SET jobs = jobs + 1, timed = timed + excluded.timed,
        duration_ms = duration_ms + excluded.duration_ms;
END;
"""
_FAILURE = f"""
    (SELECT iif(error = '{NO_HANDLER}' AND place = '', '', new.job_type) AS job_type, error, place,
        substr(new.occurred_at, 1, 13) AS hour
    FROM (SELECT coalesce(json_extract(new.data, '$.error.type'), '') AS error,
        coalesce(json_extract(new.data, '$.error.place'), '') AS place))
    AS failure"""

_KIND = """CASE WHEN new.status = 'Started' THEN 'waited'
        WHEN new.state IN ('completed', 'failed', 'cancelled', 'timedOut') THEN new.state
        ELSE 'retried' END"""

_ERRORS = f"""
-- Failures by what failed where, in each minute and in each hour; the message is of the last one.
CREATE TABLE errors (
    step TEXT NOT NULL,
    start TEXT NOT NULL,
    job_type TEXT NOT NULL,
    error TEXT NOT NULL,
    place TEXT NOT NULL,
    jobs INTEGER NOT NULL,
    retried INTEGER NOT NULL,
    first_at TEXT NOT NULL,
    last_at TEXT NOT NULL,
    message TEXT NOT NULL,
    job_id TEXT NOT NULL,
    PRIMARY KEY (step, start, job_type, error, place)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER errors_counted AFTER INSERT ON trail
WHEN new.status IN ('Failed', 'TimedOut', 'AttemptFailed')
    AND new.data NOT LIKE '{{"tombstone":true,%' BEGIN
    -- A group counts apart while its hour has room for it. Others count as the one without names.
    INSERT INTO errors SELECT 'hour', hour, job_type, error, place, 0, 0, new.occurred_at,
        new.occurred_at, '', new.job_id
    FROM {_FAILURE} WHERE {MOST_GROUPS} >
        (SELECT count(*) FROM errors AS known WHERE step = 'hour' AND start = hour)
    ON CONFLICT DO NOTHING;
    INSERT INTO errors SELECT step, start, iif(apart, job_type, ''), iif(apart, error, ''),
        iif(apart, place, ''), new.status <> 'AttemptFailed', new.status = 'AttemptFailed',
        new.occurred_at, new.occurred_at, cut_text(new.message, {MAX_SAMPLE_CHARACTERS}),
        new.job_id
    FROM (SELECT *, EXISTS (SELECT 1 FROM errors AS known WHERE known.step = 'hour'
            AND known.start = hour AND known.job_type = failure.job_type
            AND known.error = failure.error AND known.place = failure.place) AS apart
        FROM {_FAILURE})
    CROSS JOIN (SELECT 'hour' AS step, substr(new.occurred_at, 1, 13) AS start
        UNION ALL SELECT 'minute', substr(new.occurred_at, 1, 16)) WHERE true
    ON CONFLICT (step, start, job_type, error, place) DO UPDATE SET
        jobs = jobs + excluded.jobs, retried = retried + excluded.retried,
        message = iif(excluded.last_at >= last_at, excluded.message, message),
        job_id = iif(excluded.last_at >= last_at, excluded.job_id, job_id),
        first_at = min(first_at, excluded.first_at), last_at = max(last_at, excluded.last_at);
END;
"""

_TYPE_TIMES = f"""
-- Where the buckets of durations begin, in milliseconds: a bucket is at most 9 % wide.
CREATE TABLE duration_buckets (least_ms INTEGER PRIMARY KEY, bucket INTEGER NOT NULL) STRICT;
INSERT INTO duration_buckets VALUES {", ".join(f"({ms}, {n})" for n, ms in enumerate(LEAST_MS))};
-- How many attempts waited and ran how long. start: ten minutes, as 2026-01-31T09:4. kind: waited
-- before a start, how a job ended, or retried after an attempt. bucket -1: no duration is known.
CREATE TABLE type_times (
    start TEXT NOT NULL,
    job_type TEXT NOT NULL,
    kind TEXT NOT NULL,
    bucket INTEGER NOT NULL,
    runs INTEGER NOT NULL,
    PRIMARY KEY (start, job_type, kind, bucket)
) STRICT, WITHOUT ROWID;
-- The slowest attempts of each hour.
CREATE TABLE slow_runs (
    hour TEXT NOT NULL,
    duration_ms INTEGER NOT NULL,
    job_id TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    job_name TEXT NOT NULL,
    job_type TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    kind TEXT NOT NULL,
    ended_at TEXT NOT NULL,
    PRIMARY KEY (hour, duration_ms, job_id, sequence)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER slow_runs_bounded AFTER INSERT ON slow_runs BEGIN
    DELETE FROM slow_runs WHERE hour = new.hour AND duration_ms <
        (SELECT duration_ms FROM slow_runs WHERE hour = new.hour
        ORDER BY duration_ms DESC LIMIT 1 OFFSET {MOST_SLOW_RUNS - 1});
END;
CREATE TRIGGER type_times_counted AFTER INSERT ON trail
WHEN new.status IN ('Started', 'AttemptFailed', 'Completed', 'Failed', 'Cancelled', 'TimedOut')
    AND (new.status <> 'Started' OR new.duration_ms IS NOT NULL)
    AND new.sequence > 1 AND new.data NOT LIKE '{{"tombstone":true,%' BEGIN
    -- A type counts apart while its ten minutes have room for it. Others count as the one without
    -- a name.
    INSERT INTO type_times SELECT start,
        iif(EXISTS (SELECT 1 FROM type_times AS known
                WHERE known.start = counted.start AND known.job_type = new.job_type)
            OR {MOST_TYPES} > (SELECT count(DISTINCT job_type) FROM type_times AS known
                WHERE known.start = counted.start),
            new.job_type, '{OTHER_TYPES}'),
        kind, coalesce((SELECT bucket FROM duration_buckets
            WHERE least_ms <= max(0, new.duration_ms) ORDER BY least_ms DESC LIMIT 1), {UNTIMED}), 1
    FROM (SELECT substr(new.occurred_at, 1, 15) AS start, {_KIND} AS kind) AS counted WHERE true
    ON CONFLICT (start, job_type, kind, bucket) DO UPDATE SET runs = runs + 1;
    INSERT INTO slow_runs SELECT hour, new.duration_ms, new.job_id, new.sequence, new.job_name,
        new.job_type, new.attempt, {_KIND}, new.occurred_at
    FROM (SELECT substr(new.occurred_at, 1, 13) AS hour) AS ended
    WHERE new.status <> 'Started' AND new.duration_ms > coalesce((SELECT duration_ms FROM slow_runs
        WHERE slow_runs.hour = ended.hour ORDER BY duration_ms DESC
        LIMIT 1 OFFSET {MOST_SLOW_RUNS - 1}), -1);
END;
"""

CONFIRMED = "(sequence > 0 OR published > 0)"
"""Open rows whose event 1 is known to stand. No list shows others. Questions name this filter
word for word, or SQLite cannot use the indexes below."""

_LISTS = f"""
CREATE INDEX jobs_dead ON jobs (updated_at)
WHERE state IN ('failed', 'timedOut') AND dismissed = 0;
CREATE INDEX jobs_by_error ON jobs (error_group, updated_at) WHERE error_group IS NOT NULL;
CREATE INDEX open_jobs_queued ON open_jobs (queue, opened_at)
WHERE state = 'queued' AND {CONFIRMED};
CREATE INDEX open_jobs_by_lock_key ON open_jobs (lock_key, lock_slots, opened_at, state)
WHERE lock_key IS NOT NULL AND {CONFIRMED};
"""

_FACTS = """
    job_name TEXT NOT NULL,
    job_type TEXT NOT NULL,
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL,
    lock_key TEXT,
    created_at TEXT NOT NULL,
    lock_slots INTEGER NOT NULL"""

SCHEMA = f"""
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;

-- The audit trail: rows are inserted and never changed. position is the order of commits.
CREATE TABLE trail (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    status TEXT NOT NULL,
    state TEXT NOT NULL,
    message TEXT NOT NULL,
    occurred_at TEXT NOT NULL,
    worker_id TEXT,
    attempt INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    duration_ms INTEGER,
    data TEXT NOT NULL,
    event_id TEXT NOT NULL,
    claimed_by TEXT,
    lock TEXT,
    lock_turn INTEGER,
    due_at TEXT,
    attempts_used INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    incarnation INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    cancel_requested INTEGER NOT NULL,
    takeovers INTEGER NOT NULL,
    dismissed INTEGER NOT NULL,
    lifecycle_before INTEGER NOT NULL,
    locks TEXT,
    max_takeovers INTEGER NOT NULL,{_FACTS},
    salt TEXT,
    data_hash TEXT,
    text_hash TEXT,
    hash TEXT,
    UNIQUE (job_id, sequence)
) STRICT;
CREATE INDEX trail_by_time ON trail (occurred_at);
CREATE INDEX trail_by_status ON trail (status, occurred_at);
CREATE INDEX trail_by_name ON trail (job_name, occurred_at);
CREATE INDEX trail_by_type ON trail (job_type COLLATE NOCASE, occurred_at);
CREATE TRIGGER trail_is_never_rewritten BEFORE UPDATE ON trail
WHEN NOT EXISTS (SELECT 1 FROM meta WHERE name = '{RETENTION_SWITCH}')
    OR new.salt IS NOT NULL OR new.hash IS NOT old.hash
BEGIN SELECT RAISE(ABORT, 'the audit trail is never rewritten'); END;
CREATE TRIGGER trail_is_never_shortened BEFORE DELETE ON trail
WHEN NOT EXISTS (SELECT 1 FROM meta WHERE name = '{RETENTION_SWITCH}')
BEGIN SELECT RAISE(ABORT, 'the audit trail is never shortened'); END;

{_ENDINGS}
{_ERRORS}
{_TYPE_TIMES}
-- The current state of each job, for lists; a copy of the trail.
CREATE TABLE jobs (
    position INTEGER PRIMARY KEY,
    job_id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    status TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    incarnation INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    claimed_by TEXT,
    message TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    due_at TEXT,
    dismissed INTEGER NOT NULL,{_FACTS},
    duration_ms INTEGER,
    steps INTEGER,
    locks TEXT,
    error_group TEXT,
    search TEXT NOT NULL
) STRICT;
-- Searches run over this index alone, so it holds all that they test.
CREATE INDEX jobs_by_change ON jobs (updated_at, position, state, job_type, queue, search);
CREATE INDEX jobs_by_state ON jobs (state, updated_at);
CREATE INDEX jobs_by_type ON jobs (job_type COLLATE NOCASE, state, updated_at);
CREATE INDEX jobs_by_lock_key ON jobs (lock_key, updated_at) WHERE lock_key IS NOT NULL;

-- Values by which jobs are looked up: declared keys of their payload, and their schedule.
CREATE TABLE job_keys (
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    created_at TEXT NOT NULL,
    job_id TEXT NOT NULL,
    PRIMARY KEY (key, value, created_at, job_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_keys_by_job ON job_keys (job_id);
CREATE TRIGGER job_keys_removed AFTER DELETE ON jobs BEGIN
    DELETE FROM job_keys WHERE job_id = old.job_id;
END;

CREATE TABLE state_counts (state TEXT PRIMARY KEY, jobs INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TRIGGER jobs_counted_at_insert AFTER INSERT ON jobs BEGIN
    INSERT INTO state_counts VALUES (new.state, 1)
    ON CONFLICT (state) DO UPDATE SET jobs = jobs + 1;
END;
CREATE TRIGGER jobs_counted_at_update AFTER UPDATE OF state ON jobs
WHEN new.state <> old.state BEGIN
    UPDATE state_counts SET jobs = jobs - 1 WHERE state = old.state;
    INSERT INTO state_counts VALUES (new.state, 1)
    ON CONFLICT (state) DO UPDATE SET jobs = jobs + 1;
END;
CREATE TRIGGER jobs_counted_at_delete AFTER DELETE ON jobs BEGIN
    UPDATE state_counts SET jobs = jobs - 1 WHERE state = old.state;
END;

-- One row per job and incarnation that has not ended.
CREATE TABLE open_jobs (
    job_id TEXT NOT NULL,
    incarnation INTEGER NOT NULL,
    state TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    opened_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    lock TEXT,
    due_at TEXT,
    sent INTEGER NOT NULL,
    published INTEGER NOT NULL,{_FACTS},
    PRIMARY KEY (job_id, incarnation)
) STRICT, WITHOUT ROWID;
CREATE INDEX open_jobs_by_state ON open_jobs (state, job_id, incarnation);
{_LISTS}
CREATE TABLE locks (
    lock TEXT PRIMARY KEY,
    lease_id TEXT,
    expires REAL NOT NULL DEFAULT 0,
    note TEXT NOT NULL DEFAULT '{{}}'
) STRICT, WITHOUT ROWID;
CREATE INDEX locks_leased ON locks (expires) WHERE lease_id IS NOT NULL;

-- body: a job request; hints: what jobfleet knows beside it, NULL from foreign publishers.
-- lane: 0 high, 1 normal, 2 low. A delivered message is hidden until visible_at by its holder.
-- unanswered: deliveries to workers that neither acknowledged the message nor gave it back.
CREATE TABLE messages (
    message INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    lane INTEGER NOT NULL DEFAULT 1,
    visible_at REAL NOT NULL DEFAULT 0,
    due_at TEXT NOT NULL DEFAULT '',
    holder TEXT,
    unanswered INTEGER NOT NULL DEFAULT 0,
    body ANY NOT NULL CHECK (typeof(body) IN ('blob', 'text')),
    hints TEXT
) STRICT;
CREATE INDEX messages_by_lane ON messages (queue, lane, visible_at, message);

-- Hints to all workers; those of the last hour. A cancel holds a job id, a change subject/name.
CREATE TABLE control_messages (
    message INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    about TEXT NOT NULL,
    sent_at TEXT NOT NULL
) STRICT;

-- What was decided about schedules, queues, types and limits: one log per subject and name.
CREATE TABLE control_log (
    subject TEXT NOT NULL,
    name TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    entry_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    by_whom TEXT NOT NULL,
    occurred_at TEXT NOT NULL,
    reason TEXT NOT NULL,
    details TEXT NOT NULL,
    state TEXT NOT NULL,
    UNIQUE (subject, name, sequence)
) STRICT;
CREATE TRIGGER control_log_is_never_rewritten BEFORE UPDATE ON control_log
BEGIN SELECT RAISE(ABORT, 'the control log is never rewritten'); END;
CREATE TRIGGER control_log_is_never_shortened BEFORE DELETE ON control_log
BEGIN SELECT RAISE(ABORT, 'the control log is never shortened'); END;

-- When the next job of each rate may start; a copy is replaced only by who read its version.
CREATE TABLE rates (
    key TEXT PRIMARY KEY,
    moment TEXT NOT NULL,
    version TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX rates_by_moment ON rates (moment);

-- Which members of a group have ended; a row is inserted once.
CREATE TABLE group_marks (
    partition TEXT NOT NULL,
    row TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (partition, row)
) STRICT, WITHOUT ROWID;

CREATE TABLE workers (
    worker_id TEXT PRIMARY KEY,
    started_at TEXT NOT NULL,
    heartbeat_at TEXT NOT NULL,
    status TEXT NOT NULL
) STRICT, WITHOUT ROWID;
-- Rows stay for a week after the last heartbeat; lists show those of an hour.
CREATE INDEX workers_by_heartbeat ON workers (heartbeat_at);

CREATE TABLE payloads (name TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT;

-- What handlers logged: one log per job and epoch, in parts; position counts its bytes.
CREATE TABLE job_logs (
    job_id TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    position INTEGER NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (job_id, epoch, position)
) STRICT;

CREATE TABLE dead_letters (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    letter_id TEXT NOT NULL UNIQUE,
    received_at TEXT NOT NULL,
    reason TEXT NOT NULL,
    message_id TEXT,
    body BLOB NOT NULL
) STRICT;
"""
