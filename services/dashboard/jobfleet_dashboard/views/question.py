"""What is asked before many jobs are changed: exactly how many, and which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobfleet_contracts.state import DEAD, State
from jobfleet_protocol.trail.transitions import REDRIVABLE

ALLOWED: dict[str, frozenset[State]] = {
    "cancel": frozenset(state for state in State if not state.is_terminal),
    "redrive": REDRIVABLE,
    "dismiss": DEAD,
}
_NAMED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The dialog.

    Attributes:
        count: how many jobs will be changed; sent back, so that no others are.
        jobs: names of the first ones; ``more`` tells how many are not named.
        fields: hidden form fields that bring the selection back.
    """

    action: str
    count: int
    jobs: tuple[str, ...]
    more: int
    left_out: int
    fields: tuple[tuple[str, str], ...]
    address: str
    back: str

    @property
    def title(self) -> str:
        """The question itself."""
        if not self.count:
            return f"Nothing to {self.action}"
        return f"{self.verb}?"

    @property
    def verb(self) -> str:
        """What the button says, with the count."""
        return f"{self.action.capitalize()} {_jobs(self.count)}"

    @property
    def text(self) -> str:
        """What stands below the question."""
        states = ", ".join(sorted(state.value for state in ALLOWED[self.action]))
        if not self.count:
            return f"Only jobs that are {states} allow this; choose some of them."
        if self.left_out:
            return f"{_jobs(self.left_out)} of the selection are left out: not {states}."
        return "This is written to the trail of each job."

    @property
    def danger(self) -> bool:
        """Whether work is lost."""
        return self.action == "cancel"


def question(
    action: str,
    names: Sequence[str],
    *,
    count: int,
    left_out: int,
    fields: Sequence[tuple[str, str]],
    address: str,
    back: str,
) -> Question:
    """Return the question about ``count`` jobs of which the first have these names."""
    return Question(
        action=action,
        count=count,
        jobs=tuple(names[:_NAMED]),
        more=count - min(count, _NAMED, len(names)),
        left_out=left_out,
        fields=(("action", action), *fields),
        address=address,
        back=back,
    )


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count:,} jobs"
