"""Copies of a job's message must not multiply: each one costs requests until the job starts."""

from __future__ import annotations

from collections import Counter

SETTLED_SECONDS = 60.0
"""After the world has healed: the longest time for which a message is put off at once."""


def most_copies(workers: int) -> int:
    """Return how many messages of one job may be under way: each worker knows its own."""
    return 3 * workers + 3


def copy_faults(peaks: Counter[str], workers: int) -> list[str]:
    """Return what is wrong.

    Args:
        peaks: the most messages that were seen of each job, once all had settled.
    """
    most = most_copies(workers)
    many = [(job_id, count) for job_id, count in sorted(peaks.items()) if count > most]
    return [f"{count} messages of job {job_id} were under way at once" for job_id, count in many]
