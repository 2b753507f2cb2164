"""Values by which jobs are looked up: payload keys, their schedule, workers that lost them.

An event that carries them in its data under ``indexed`` makes the index write one row for each.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from jobfleet_contracts.codec import encodable
from jobfleet_contracts.credentials import masked
from jobfleet_contracts.internal_job import is_internal_id

if TYPE_CHECKING:
    from jobfleet_contracts.event import Event
    from jobfleet_contracts.job import JobRequest

INDEXED = "indexed"
MOST_KEYS = 8
MAX_VALUE = 200
PAYLOAD, SCHEDULE, LOST_BY = "payload.", "schedule", "lostby"
PAYLOAD_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,49}")


def normalised(value: Any) -> str | None:
    """Return the text under which a scalar is found, in any case; ``None`` for other values.

    Texts of more than 200 characters are not indexed.
    """
    match value:
        case bool():
            text = "true" if value else "false"
        case str():
            text = unicodedata.normalize("NFC", encodable(value.strip())).casefold()
        case int():
            text = str(value)
        case float() if math.isfinite(value):
            text = str(int(value)) if value.is_integer() else repr(value)
        case _:
            return None
    return text if 0 < len(text) <= MAX_VALUE else None


def keys_of(request: JobRequest, declared: Sequence[str]) -> dict[str, str]:
    """Return what a job is looked up by.

    Args:
        declared: keys of the payload. What looks like a credential is left out.
    """
    found: dict[str, str] = {}
    if isinstance(request.payload, Mapping):
        for name in declared[:MOST_KEYS]:
            raw = {name: request.payload.get(name)}
            value = normalised(raw[name])
            # The mask knows some credentials by their capitals, which the normal form has lost.
            if value is None or masked(raw) != raw:
                continue
            if masked({name: value}) == {name: value}:
                found[f"{PAYLOAD}{name}"] = value
    schedule = (request.context or {}).get("scheduleName")
    if isinstance(schedule, str) and is_internal_id(request.job_id):
        found[SCHEDULE] = schedule.casefold()
    return found


def lost_by(worker_id: str | None) -> dict[str, Any]:
    """Return what ``TakenOver`` says of the worker that it takes the job from."""
    return {} if worker_id is None else {INDEXED: {LOST_BY: worker_id}}


def keys_in(event: Event) -> Mapping[str, str]:
    """Return the keys that an event carries, none where its data are not what we write."""
    indexed = event.data.get(INDEXED)
    if not isinstance(indexed, Mapping):
        return {}
    return {str(name): value for name, value in indexed.items() if isinstance(value, str)}


def value_hash(value: str) -> str:
    """Return sixteen hex digits that stand for a normalised value in row keys."""
    return sha256(value.encode()).hexdigest()[:16]
