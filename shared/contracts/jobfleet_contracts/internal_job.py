"""Jobs that jobfleet makes itself: their types, and ids that no submitter can take first.

Any program can compute a UUIDv5, so an id made from what a job belongs to is a UUID of version 8,
which submitted jobs may not have. Callback jobs use it; ticks, successors and group members do too.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import UUID

from jobfleet_contracts.encoded_value import encoded_in
from jobfleet_contracts.errors import InvalidRequest

if TYPE_CHECKING:
    from jobfleet_contracts.job import JobRequest

CALLBACK_TYPE = "callback.deliver"
GROUP_TYPE = "group.wait"
"""A job that waits for its members; it is never claimed."""
GROUP_CANCEL_TYPE = "group.cancel"
"""A job that cancels the members of a group."""
INTERNAL_TYPES = frozenset({CALLBACK_TYPE, GROUP_TYPE, GROUP_CANCEL_TYPE})
"""Types that only jobfleet submits: their jobs act with the fleet's own rights."""

_VERSION = 8
_VERSION_PLACE, _VARIANT_PLACE, _LENGTH = 14, 19, 36


def internal_job_id(kind: str, *parts: str) -> str:
    """Return the id of an internal job: a UUID of version 8, the same for the same parts.

    Args:
        kind: what the job is to what it belongs to, as ``callback``.
        parts: what it belongs to, as a job's id and its incarnation.
    """
    # JSON keeps ("a", "b/c") apart from ("a/b", "c"); a plain join would give both one id.
    digest = sha256(json.dumps([kind, *parts]).encode()).digest()
    number = int.from_bytes(digest[:16])
    number = number & ~(0xF << 76) | _VERSION << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    return str(UUID(int=number))


def is_internal_id(job_id: str) -> bool:
    """Whether a canonical UUID is of version 8; a text of another length is none."""
    # An id read from storage may have any length: the row may have been edited.
    if len(job_id) != _LENGTH:
        return False
    return job_id[_VERSION_PLACE] == str(_VERSION) and job_id[_VARIANT_PLACE] in "89ab"


def check_type(job_type: str) -> None:
    """Check that a submitter may use this type.

    Raises:
        InvalidRequest: only jobfleet itself may.
    """
    if job_type in INTERNAL_TYPES:
        raise InvalidRequest(f"type: {job_type} jobs are made by jobfleet alone", field="type")


def check_submitted(request: JobRequest) -> None:
    """Check that a submitter may use the type and the fields of a request.

    Raises:
        InvalidRequest: only jobfleet itself may.
    """
    check_type(request.type)
    for field in ("follows", "results", "member"):
        if getattr(request, field):
            raise InvalidRequest(f"{field}: only jobfleet itself sets this field", field=field)
    check_clear(request)


def check_clear(request: JobRequest) -> None:
    """Check that no field of a submitted request holds an encoded value, at any depth.

    Raises:
        InvalidRequest: one does; a process with the codec would decode it for every viewer.
    """
    for field, value in request.to_json().items():
        if (path := encoded_in(value, field)) is not None:
            raise InvalidRequest(f"{path} holds $encoded, the form of encoded values", field=path)


def is_internal(request: JobRequest) -> bool:
    """Whether a request's type, id or origin is one that only jobfleet may use."""
    return (
        request.type in INTERNAL_TYPES
        or is_internal_id(request.job_id)
        or request.follows is not None
        or request.member is not None
        or bool(request.results)
    )
