"""Why somebody did something, as the trail and the control log keep it."""

from __future__ import annotations

from jobfleet_contracts.encoded_value import encoded_in
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.json_check import check_characters

MAX_REASON = 1000


def check_reason(reason: str) -> None:
    """Raise ``InvalidRequest`` unless the trail and the control log can hold the reason."""
    if len(reason) > MAX_REASON:
        raise InvalidRequest(
            f"reason: must be a text of at most {MAX_REASON:,} characters", field="reason"
        )
    check_characters(reason, field="reason")
    if encoded_in(reason, "reason") is not None:
        raise InvalidRequest("reason: $encoded is the form of encoded values", field="reason")
