"""Who asks, and what that role may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """Each role may do what those before it may."""

    VIEWER = "viewer"
    SUBMITTER = "submitter"
    OPERATOR = "operator"

    def covers(self, needed: Role) -> bool:
        """Whether this role may do what ``needed`` may."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Principal:
    """The one who asks; ``name`` is written into the trail as ``by``, ``None`` without keys."""

    name: str | None
    role: Role

    def may(self, needed: Role) -> bool:
        """Whether routes of this role are open to the principal."""
        return self.role.covers(needed)


EVERYBODY = Principal(None, Role.OPERATOR)
"""Who asks where no keys are configured; such a dashboard is reached from loopback only."""
