"""Deliberate bugs in what makes the jobs that follow a job."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from jobfleet_contracts.job import JobRequest


def a_repeated_submit_ends_the_open_row() -> AbstractContextManager[Any]:
    """A submitter that finds its job ended removes the open row, whatever still follows."""
    has_callback = property(lambda request: request.callback_url is not None)
    return patch.object(JobRequest, "has_followers", has_callback)
