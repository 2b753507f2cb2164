"""What an outbound call tells the other side of the job that makes it."""

from __future__ import annotations

from jobfleet_worker.handlers.context import JobContext


def passed_on(context: JobContext) -> dict[str, str]:
    """Return the headers that let the target recognise repeats and refuse stale holders.

    ``Idempotency-Key`` is the same for all attempts of an incarnation; ``X-Fencing-Token`` rises
    with each claim; ``traceparent`` continues the trace of the request that made the job, else
    the job's own.
    """
    return {
        "Idempotency-Key": context.idempotency_key,
        "X-Fencing-Token": str(context.epoch),
        "traceparent": context.traceparent,
    }
