"""Submit jobs from any program: ``Publisher`` here, for code without an event loop in ``sync``."""

from __future__ import annotations

from jobfleet_publisher.job_details import JobDetails
from jobfleet_publisher.job_result import JobFailed, JobResult
from jobfleet_publisher.publisher import Publisher
from jobfleet_publisher.submitted_job import SubmittedJob

__all__ = ["JobDetails", "JobFailed", "JobResult", "Publisher", "SubmittedJob"]
