"""The hash chain of a trail: each row holds digests of its content and of the row before.

A row has three hashes, each the SHA-256 in hex:

* ``data_hash`` of the salt, followed by the whole data as JSON, before large data become a blob.
* ``text_hash`` of the JSON list of salt, job name and message.
* ``hash`` of the JSON list of the previous row's ``hash`` (``""`` before the first row), all other
  columns in the order of :func:`_columns`, ``data_hash`` and ``text_hash``.

So name, message and data can be erased later together with the salt. The digests stay, and the
chain stays whole. Without the salt a short value cannot be guessed from its digest.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import uuid_utils

from jobfleet_contracts.changed import changed
from jobfleet_contracts.codec import encode, format_optional_time, format_time
from jobfleet_contracts.event import Event, held_locks_to_text

BEGINNING = ""
"""What stands for the hash of the row before the first one."""


def chained(previous: Event | None, event: Event) -> Event:
    """Return ``event`` with salt and hashes, as the row after ``previous``.

    Call it once for each row, before the first try to write it. A repeated append must send the
    identical row, because the first copy may be in the trail already.

    Raises:
        InvalidRequest: the data or the message cannot be written as JSON.
    """
    salt = uuid_utils.uuid4().hex
    data_hash, text_hash = data_hash_of(event, salt), text_hash_of(event, salt)
    before = BEGINNING if previous is None else previous.hash
    row = _digest([before, *_columns(event), data_hash, text_hash])
    return changed(event, salt=salt, data_hash=data_hash, text_hash=text_hash, hash=row)


def linked(previous: Event | None, event: Event) -> Event:
    """Return ``event``, whose content has its digests already, as the row after ``previous``."""
    return changed(event, hash=row_hash(event, BEGINNING if previous is None else previous.hash))


def data_hash_of(event: Event, salt: str) -> str:
    """Return the digest of the event's whole data."""
    return sha256(salt.encode() + encode(event.data)).hexdigest()


def text_hash_of(event: Event, salt: str) -> str:
    """Return the digest of the job's name and the event's message."""
    return _digest([salt, event.facts.job_name, event.message])


def row_hash(event: Event, previous: str | None) -> str:
    """Return the hash of a row that follows one with the hash ``previous``."""
    return _digest([previous, *_columns(event), event.data_hash, event.text_hash])


def _digest(values: list[Any]) -> str:
    return sha256(encode(values)).hexdigest()


def _columns(event: Event) -> tuple[Any, ...]:
    """Return what a row holds beside name, message and data. Another order is another chain."""
    facts, after = event.facts, event.after
    return (
        facts.job_id,
        after.sequence,
        event.event_id,
        event.status,
        after.state,
        format_time(event.occurred_at),
        event.worker_id,
        event.duration_ms,
        after.attempt,
        after.attempts_used,
        after.max_attempts,
        after.epoch,
        after.incarnation,
        after.worker_id,
        after.lock,
        after.lock_turn,
        held_locks_to_text(after.locks),
        format_optional_time(after.due_at),
        after.sent,
        after.cancel_requested,
        after.takeovers,
        after.max_takeovers,
        after.dismissed,
        after.lifecycle_before,
        facts.job_type,
        facts.queue,
        facts.priority,
        facts.lock_key,
        facts.lock_slots,
        format_time(facts.created_at),
    )
