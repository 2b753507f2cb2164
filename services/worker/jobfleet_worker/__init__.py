"""The worker: takes jobs, runs their handlers, writes what happened."""

from jobfleet_contracts.rate import Rate
from jobfleet_contracts.schedule import Schedule
from jobfleet_worker.handlers.context import BlockingJobContext, JobContext
from jobfleet_worker.handlers.declaration import handler
from jobfleet_worker.handlers.hook_marks import (
    around_attempt,
    on_error,
    on_shutdown,
    on_startup,
    provide,
)
from jobfleet_worker.handlers.hooks import Run
from jobfleet_worker.handlers.schedule_marks import schedule
from jobfleet_worker.handlers.verdicts import Defer, Fail, Retry

__all__ = [
    "BlockingJobContext",
    "Defer",
    "Fail",
    "JobContext",
    "Rate",
    "Retry",
    "Run",
    "Schedule",
    "around_attempt",
    "handler",
    "on_error",
    "on_shutdown",
    "on_startup",
    "provide",
    "schedule",
]
