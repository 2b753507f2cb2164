"""Ids of jobs: fresh ones, and those that idempotency keys stand for."""

from __future__ import annotations

from uuid import UUID, uuid5

import uuid_utils

from jobfleet_contracts.codec import encodable
from jobfleet_contracts.errors import InvalidRequest

IDEMPOTENCY_NAMESPACE = UUID("6f9b2c54-8f0e-5d5b-9a63-3c1d0b7e4a11")
"""Namespace of job ids that are made from idempotency keys (UUIDv5)."""


def new_id() -> str:
    """Return a fresh lower-case UUIDv7; ids made later sort later."""
    return str(uuid_utils.uuid7())


def job_id_for_key(idempotency_key: str) -> str:
    """Return the job id that an idempotency key stands for.

    Raises:
        InvalidRequest: the key is empty, or no text; ``field`` is ``idempotency_key``.
    """
    _check_text(idempotency_key, "idempotency_key")
    if not idempotency_key.strip():
        message = "the idempotency key is empty; all jobs with it would be one job"
        raise InvalidRequest(message, field="idempotency_key")
    return str(uuid5(IDEMPOTENCY_NAMESPACE, idempotency_key))


def check_job_id(job_id: object) -> None:
    """Check that an id that a job is looked up by is one that a backend can be asked for.

    Raises:
        InvalidRequest: it is no text; ``field`` is ``job_id``.
    """
    _check_text(job_id, "job_id")


def _check_text(value: object, field: str) -> None:
    if not isinstance(value, str):
        raise InvalidRequest(f"{field}: must be text, not {type(value).__name__}", field=field)
    if encodable(value) != value:
        raise InvalidRequest(
            f"{field}: holds a NUL or half a character, which cannot be stored", field=field
        )
