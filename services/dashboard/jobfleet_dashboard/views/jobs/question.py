"""What is asked before many jobs are changed: exactly how many, and which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobfleet_protocol.reading.job_actions import ALLOWED, JobAction
from jobfleet_protocol.reading.job_selection import count_of

_NAMED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The dialog.

    Attributes:
        count: how many jobs will be changed; sent back, so that no others are.
        jobs: names of the first ones; ``more`` tells how many are not named.
        scope: the filter whose jobs are meant, empty for chosen jobs.
        fields: hidden form fields that bring the selection back.
    """

    action: JobAction
    count: int
    jobs: tuple[str, ...]
    more: int
    left_out: int
    fields: tuple[tuple[str, str], ...]
    address: str
    back: str
    scope: str = ""

    @property
    def title(self) -> str:
        """The question itself."""
        if not self.count:
            return f"Nothing to {self.action}"
        return f"{self.verb}?"

    @property
    def verb(self) -> str:
        """What the button says, with the count."""
        return f"{self.action.capitalize()} {count_of(self.count)}"

    @property
    def text(self) -> str:
        """What stands below the question."""
        states = ", ".join(sorted(state.value for state in ALLOWED[self.action]))
        if not self.count:
            return f"Only jobs that are {states} allow this; choose some of them."
        if self.left_out:
            return f"{count_of(self.left_out)} of the selection are left out: not {states}."
        return "This is written to the trail of each job."

    @property
    def danger(self) -> bool:
        """Whether work is lost."""
        return self.action is JobAction.CANCEL


def question(
    action: JobAction,
    names: Sequence[str],
    *,
    count: int,
    left_out: int,
    fields: Sequence[tuple[str, str]],
    address: str,
    back: str,
    scope: str = "",
) -> Question:
    """Return the question about ``count`` jobs; the first of them have these names."""
    return Question(
        action=action,
        count=count,
        jobs=tuple(names[:_NAMED]),
        more=count - min(count, _NAMED, len(names)),
        left_out=left_out,
        fields=(("action", action), *fields),
        address=address,
        back=back,
        scope=scope,
    )
