"""From what a program holds to plain JSON."""

from __future__ import annotations

from typing import Any

from jobfleet_contracts.errors import InvalidRequest
from jobfleet_publisher.ordered_sets import with_ordered_sets


def plain_payload(payload: Any, *, field: str = "payload") -> Any:
    """Return plain JSON of JSON values, dataclasses and pydantic models, at any depth.

    Times, UUIDs, enums and paths become strings, bytes must be UTF-8. Sets become lists, ordered
    by the JSON of their items: the same payload is the same JSON in every process.

    Raises:
        InvalidRequest: JSON has no form for it; names the field.
    """
    from pydantic_core import to_jsonable_python

    try:
        return to_jsonable_python(with_ordered_sets(payload), by_alias=True)
    except ValueError as error:  # PydanticSerializationError is one, so is a cycle
        raise InvalidRequest(f"{field} is not JSON: {error}", field=field) from error
