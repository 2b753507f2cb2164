"""The worker: takes jobs, runs their handlers, writes what happened."""

from jobfleet_contracts.schedule import Schedule
from jobfleet_worker.handlers.context import BlockingJobContext, JobContext
from jobfleet_worker.handlers.declaration import handler
from jobfleet_worker.handlers.schedule_marks import schedule
from jobfleet_worker.handlers.verdicts import Defer, Fail, Retry

__all__ = [
    "BlockingJobContext",
    "Defer",
    "Fail",
    "JobContext",
    "Retry",
    "Schedule",
    "handler",
    "schedule",
]
