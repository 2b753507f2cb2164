"""Why an operator did something, as the trail and the control log keep it."""

from __future__ import annotations

from jobfleet_contracts.encoded_value import encoded_in
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.json_check import check_characters

MAX_REASON = 1000


def behind_name(reason: str) -> str:
    """Return a reason as it stands behind who gave it, ``, reason: wrong file``; empty for none.

    A colon right behind the name would make the reason its value: masking would hide it in
    ``cancelled by ci-token: …``.
    """
    return f", reason: {reason}" if reason else ""


def check_reason(reason: str) -> None:
    """Raise ``InvalidRequest`` unless the trail and the control log can hold the reason."""
    if len(reason) > MAX_REASON:
        raise InvalidRequest(
            f"reason: must be a text of at most {MAX_REASON:,} characters", field="reason"
        )
    check_characters(reason, field="reason")
    if encoded_in(reason, "reason") is not None:
        raise InvalidRequest("reason: $encoded is the form of encoded values", field="reason")
