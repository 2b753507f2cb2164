"""The protocol's level: what a release must know to work beside others.

A release that adds what older ones cannot act on, as a field of the job request, raises
:data:`PROTOCOL_LEVEL` and names the field in :data:`FIELD_LEVELS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobfleet_contracts.job import JobRequest

FIRST_LEVEL = 1
"""The level of every field, and of every event kind, that release 0.1.0 knows."""

PROTOCOL_LEVEL = 1
"""The level of this release; each worker's row in the directory states it."""

FIELD_LEVELS: Mapping[str, int] = MappingProxyType({})
"""Fields of the job request, by wire name, that came after the first level, and their levels."""


def level_of(request: JobRequest, levels: Mapping[str, int] = FIELD_LEVELS) -> int:
    """Return the lowest level at which a worker can act on the request.

    Args:
        levels: the fields that not every level knows, with the level that each needs.
    """
    if not levels:
        return FIRST_LEVEL
    return max((levels.get(name, FIRST_LEVEL) for name in request.to_json()), default=FIRST_LEVEL)
