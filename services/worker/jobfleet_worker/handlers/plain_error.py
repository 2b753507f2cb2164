"""What an error of a handler says, as JSON can hold it; users' own classes may be in the way."""

from __future__ import annotations

from typing import Any

from jobfleet_contracts.codec import encodable
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.job import check_json
from jobfleet_worker.handlers.registry import to_json
from jobfleet_worker.handlers.verdicts import Fail, Retry


def text_of(error: BaseException) -> str:
    """Return its text, the name of its type where it has none."""
    try:
        return encodable(str(error)) or type(error).__name__
    except Exception as broken:  # noqa: BLE001 - a user's own __str__
        return f"{type(error).__name__}, whose text raised {type(broken).__name__}"


def details_of(error: Fail | Retry) -> dict[str, Any]:
    """Return its details, or why they are left out."""
    try:
        details: dict[str, Any] = to_json(dict(error.details))
        check_json(details, field="details", limit=None)
    except (TypeError, InvalidRequest) as problem:
        return {"details": f"left out: {problem}"}
    return details
