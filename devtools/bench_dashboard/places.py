"""What the addresses of pages name: ids of jobs, workers, groups and actions in a filled fleet."""

from __future__ import annotations

from dataclasses import dataclass

SCHEDULE = "nightly-17"
LIMIT = "api-crm"
CUSTOMER = "customer-17"
"""Value of the payload's key ``customer`` that some jobs have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Ids, and one name of a failure.

    Attributes:
        ended: a job like most; it has a log of a megabyte.
        long, large: a job with many events, and one with large values.
        waiter: the last of many jobs that wait for one lock key.
        gone: a worker that lost jobs.
        action: one on a thousand jobs, which has ended.
        group: a job whose members are jobs; ``errors`` is a group of failures.
    """

    ended: str
    long: str
    large: str
    waiter: str
    worker: str
    gone: str
    action: str
    group: str
    errors: str
