"""A deliberate bug, and where the simulation sees it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from devtools.evidence.bug_class import BugClass
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
        breaks: the claim of docs/evidence.md that the bug breaks.
        shows: a regular expression; the fault that gives the bug away fits it.
    """

    name: str
    bug: Bug
    seed: int
    emphasis: Mapping[str, Any] = field(default_factory=dict)
    breaks: BugClass = field(kw_only=True)
    shows: str = field(kw_only=True)

    def is_seen(self, seed: int) -> bool:
        """Run a seed with the bug, and return whether it gives the bug away."""
        return self._next_seen(iter([seed])) is not None

    def is_sound(self, seed: int) -> bool:
        """Run a seed without the bug; a seed that shows the same fault then proves nothing."""
        (verdict,) = verdicts([seed], self.emphasis)
        return not self._shows(verdict)

    def first_seen(self, seeds: Iterable[int]) -> Verdict | None:
        """Return the first run of these seeds that gives the bug away, and is sound without it."""
        rest = iter(seeds)
        while (seen := self._next_seen(rest)) is not None and not self.is_sound(seen.seed):
            pass
        return seen

    def _next_seen(self, seeds: Iterator[int]) -> Verdict | None:
        with self.bug():
            return next(filter(self._shows, verdicts(seeds, self.emphasis)), None)

    def _shows(self, verdict: Verdict) -> bool:
        return any(re.search(self.shows, fault) for fault in verdict.faults)
