"""Which jobs an action is meant for: some ids, or all that a filter finds."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from jobfleet_cli.session import Session
from jobfleet_contracts.errors import ActionRefused, InvalidRequest
from jobfleet_contracts.index import JobQuery
from jobfleet_protocol.reading.job_actions import JobAction, narrowed
from jobfleet_protocol.reading.job_selection import PAGE, count_of, find_expected, find_jobs

_EMPTY = JobQuery(limit=PAGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSelection:
    """Ids or a filter, never both.

    Attributes:
        action: what will be done to them.
        expected: how many jobs the filter has to find; ``None``: a person is asked.
    """

    action: JobAction
    ids: Sequence[str] = ()
    query: JobQuery = _EMPTY
    expected: int | None = None

    def check(self) -> None:
        """See that something is meant, and only one thing.

        Raises:
            InvalidRequest: neither or both are given. An action on all jobs at once is refused.
        """
        filtered = self.query != _EMPTY
        if not self.ids and not filtered:
            raise InvalidRequest(f"give job ids to {self.action}, or a filter such as --type T")
        if self.ids and filtered:
            raise InvalidRequest("give either job ids or a filter, not both", field="ids")
        if self.ids and self.expected is not None:
            raise InvalidRequest("--expected goes with a filter, not with ids", field="expected")

    async def find(self, session: Session) -> Sequence[str]:
        """Return the ids, once the number of those that a filter finds is agreed upon.

        Raises:
            ActionRefused: it finds over 10,000, others than expected, or the answer was no.
            InvalidRequest: there is no terminal to ask at, and no number is given.
        """
        if self.ids:
            return self.ids
        query, reader = narrowed(self.query, self.action), session.backend.reader
        if self.expected is not None:
            return await find_expected(reader, query, self.expected)
        found = [row.facts.job_id for row in await find_jobs(reader, query)]
        self._ask(len(found))
        return found

    def _ask(self, count: int) -> None:
        jobs = count_of(count)
        if not count:
            print(f"no job to {self.action} matches", file=sys.stderr)
            return
        if not sys.stdin.isatty():
            remedy = f"say --expected {count} to {self.action} them"
            raise InvalidRequest(f"the filter finds {jobs}; {remedy}", field="expected")
        print(f"{self.action.capitalize()} {jobs}? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise ActionRefused("nothing was done")
