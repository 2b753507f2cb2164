"""When to try again: exponential back-off with full jitter."""

from __future__ import annotations

import random
from datetime import timedelta

from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.message import JobDefaults


def retry_delay(request: JobRequest, defaults: JobDefaults, failures: int) -> timedelta:
    """Return how long to wait after the ``failures``-th failed attempt.

    Uniform between zero and the doubled base, capped: the "full jitter" of the AWS architecture
    blog, which spreads a crowd of failures best.
    """
    base = request.retry_delay_seconds
    if base is None:
        base = defaults.retry_delay_seconds
    ceiling = min(base * 2.0 ** (failures - 1), defaults.retry_max_seconds)
    return timedelta(seconds=random.uniform(0, ceiling))
