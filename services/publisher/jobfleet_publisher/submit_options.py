"""What a program may say of a job beside its type and payload, and of a group beside its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, TypedDict

from jobfleet_protocol.actions.group_ending import OnFailure
from jobfleet_publisher.then import Then


class JobOptions(TypedDict, total=False):
    """Options that may hold for several jobs at once.

    Attributes:
        name: what people read; the type if none is given.
        priority: 0 to 9, higher first, 5 if none is given.
        lock_key: jobfleet starts one job of a key at a time. After a pause a handler that is
            being stopped may still overlap the next one.
        lock_slots: how many jobs of the lock key may run at the same time, instead of one.
        limits: up to three named limits, which operators set.
        run_at: aware time before which it does not start; ``delay`` counts from now instead.
        max_attempts: first run included.
        on_lost: ``fail`` ends a job whose worker was lost, instead of starting it again.
        max_takeovers: how many lost workers in a row it survives, 5 if none is given.
        timeout: limit of one attempt; like ``delay`` and ``retry_delay`` in seconds or as a
            ``timedelta``.
        callback_url: receives the final result, signed.
        context: carried to the handler, as headers of the request that made the job.
        then: jobs that jobfleet submits when this one has ended.
    """

    name: str | None
    description: str | None
    priority: int | None
    queue: str | None
    lock_key: str | None
    lock_slots: int | None
    limits: Sequence[str] | None
    run_at: datetime | None
    delay: timedelta | float | None
    max_attempts: int | None
    on_lost: Literal["retry", "fail"] | None
    max_takeovers: int | None
    timeout: timedelta | float | None
    retry_delay: timedelta | float | None
    callback_url: str | None
    context: Mapping[str, Any] | None
    then: Sequence[Then] | None


class SubmitOptions(JobOptions, total=False):
    """Options of one job.

    Attributes:
        idempotency_key: one for the whole fleet, over all types: begin it with what it is for, as
            ``invoice/2026-11``. The same key with the same job is the same job, however often and
            whenever; ``delay`` is compared as given, not by the time that it leads to.
        job_id: a UUID of your own instead of one made at submit.
        connection: with an open transaction of your own on the fleet's PostgreSQL database, from
            psycopg, SQLAlchemy or Django: the job exists if, and only if, you commit it.
        notify: wake waiting workers at that commit. Without it they find the job in a second.
    """

    idempotency_key: str | None
    job_id: str | None
    connection: Any
    notify: bool


class GroupOptions(TypedDict, total=False):
    """What may be said of a group beside its name; described at ``Publisher.group``."""

    then: Sequence[Then] | None
    on_failure: OnFailure
    seal_timeout: timedelta | float
    callback_url: str | None
