"""The worker: takes jobs, runs their handlers, writes what happened."""

from jobfleet_worker.context import BlockingJobContext, JobContext
from jobfleet_worker.handlers import handler
from jobfleet_worker.verdicts import Defer, Fail, Retry

__all__ = ["BlockingJobContext", "Defer", "Fail", "JobContext", "Retry", "handler"]
