"""A deliberate bug, and where the simulation sees it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.seeds import verdicts
from tests.simulation.simulation import Verdict

Bug = Callable[[], AbstractContextManager[Any]]

FOR_EVER = "for ever"
ROBBED = "which lives and trusts its lease"
NOT_LEASED = "is claimed by .* which is not leased"
"""How several bugs show: a job waits, a live worker loses its job, a claim is without a lease."""


@dataclass(frozen=True, slots=True)
class Known:
    """A bug, and the first seed that shows it.

    Attributes:
        emphasis: what is not left to the seed, so that a rare accident comes often enough.
        shows: a regular expression; the fault that gives the bug away fits it.
    """

    name: str
    bug: Bug
    seed: int
    emphasis: Mapping[str, Any] = field(default_factory=dict)
    shows: str = field(kw_only=True)

    def first_seen(self, seeds: Iterable[int]) -> Verdict | None:
        """Return the first run of these seeds that gives the bug away."""
        with self.bug():
            return next(filter(self._is_seen, verdicts(seeds, self.emphasis)), None)

    def _is_seen(self, verdict: Verdict) -> bool:
        return any(re.search(self.shows, fault) for fault in verdict.faults)
