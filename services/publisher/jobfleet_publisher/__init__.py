"""Submit jobs from any program: ``Publisher`` here, for code without an event loop in ``sync``."""

from __future__ import annotations

from jobfleet_contracts.errors import (
    ActionRefused,
    BackendError,
    BackendForbidden,
    BackendUnavailable,
    BodyConflict,
    CodecError,
    FleetSealed,
    InvalidRequest,
    JobfleetError,
    KeyUnavailable,
    SettingsError,
    UnknownJob,
)
from jobfleet_contracts.payload_codec import PayloadCodec
from jobfleet_publisher.current import current_publisher
from jobfleet_publisher.group import Group
from jobfleet_publisher.job_details import JobDetails
from jobfleet_publisher.job_result import JobFailed, JobResult
from jobfleet_publisher.publisher import Publisher
from jobfleet_publisher.submitted_job import SubmittedJob
from jobfleet_publisher.then import Then

__all__ = [
    "ActionRefused",
    "BackendError",
    "BackendForbidden",
    "BackendUnavailable",
    "BodyConflict",
    "CodecError",
    "FleetSealed",
    "Group",
    "InvalidRequest",
    "JobDetails",
    "JobFailed",
    "JobResult",
    "JobfleetError",
    "KeyUnavailable",
    "PayloadCodec",
    "Publisher",
    "SettingsError",
    "SubmittedJob",
    "Then",
    "UnknownJob",
    "current_publisher",
]
