"""Ids of jobs: fresh ones, and those that idempotency keys stand for."""

from __future__ import annotations

from uuid import UUID, uuid5

import uuid_utils

IDEMPOTENCY_NAMESPACE = UUID("6f9b2c54-8f0e-5d5b-9a63-3c1d0b7e4a11")
"""Namespace of job ids that are made from idempotency keys (UUIDv5)."""


def new_id() -> str:
    """Return a fresh lower-case UUIDv7; ids made later sort later."""
    return str(uuid_utils.uuid7())


def job_id_for_key(idempotency_key: str) -> str:
    """Return the job id that an idempotency key stands for."""
    return str(uuid5(IDEMPOTENCY_NAMESPACE, idempotency_key))
