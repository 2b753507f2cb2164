"""What each exit code means, and which error leads to which."""

from __future__ import annotations

from enum import IntEnum

from jobfleet_contracts.errors import (
    ActionRefused,
    BackendForbidden,
    BackendUnavailable,
    BodyConflict,
    InvalidRequest,
    JobfleetError,
    SettingsError,
    UnknownJob,
)


class ExitCode(IntEnum):
    """Exit codes of every command."""

    DONE = 0
    NO = 1
    """The answer is no: a job failed or is unknown, an action was refused, violations found."""
    USAGE = 2
    """Wrong usage or configuration, a missing permission included."""
    UNREACHABLE = 3
    """A server cannot be reached."""


_CODES: dict[type[JobfleetError], ExitCode] = {
    UnknownJob: ExitCode.NO,
    ActionRefused: ExitCode.NO,
    BodyConflict: ExitCode.NO,
    SettingsError: ExitCode.USAGE,
    InvalidRequest: ExitCode.USAGE,
    BackendForbidden: ExitCode.USAGE,
    BackendUnavailable: ExitCode.UNREACHABLE,
}


def exit_code_of(error: JobfleetError) -> ExitCode:
    """Return the code that a command ends with when ``error`` ends it."""
    for kind, code in _CODES.items():
        if isinstance(error, kind):
            return code
    return ExitCode.NO
