"""Which jobs an action is meant for: some ids, or all that a filter finds."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from jobfleet_cli.session import Session
from jobfleet_contracts.errors import ActionRefused, InvalidRequest
from jobfleet_contracts.index import JobQuery

MAX_FOUND = 10_000
_PAGE = 1000
_EMPTY = JobQuery(limit=_PAGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSelection:
    """Ids or a filter, never both.

    Attributes:
        verb: what will be done to them, for the question.
        expected: how many jobs the filter has to find; ``None``: a person is asked.
    """

    verb: str
    ids: Sequence[str] = ()
    query: JobQuery = _EMPTY
    expected: int | None = None

    def check(self) -> None:
        """See that something is meant, and only one thing.

        Raises:
            InvalidRequest: neither or both are given; all jobs at once are never meant.
        """
        filtered = replace(self.query, limit=_PAGE) != _EMPTY
        if not self.ids and not filtered:
            raise InvalidRequest(f"give job ids to {self.verb}, or a filter such as --type T")
        if self.ids and filtered:
            raise InvalidRequest("give either job ids or a filter, not both", field="ids")
        if self.ids and self.expected is not None:
            raise InvalidRequest("--expected goes with a filter, not with ids", field="expected")

    async def find(self, session: Session) -> Sequence[str]:
        """Return the ids, once the number of those that a filter finds is agreed upon.

        Raises:
            ActionRefused: it finds over 10,000, others than expected, or the answer was no.
            InvalidRequest: nobody is there to be asked, and no number is given.
        """
        if self.ids:
            return self.ids
        found = await self._found(session)
        if len(found) > MAX_FOUND:
            raise ActionRefused(f"the filter finds over {MAX_FOUND:,} jobs; narrow it")
        self._agree(len(found))
        return found

    async def _found(self, session: Session) -> list[str]:
        found: list[str] = []
        query: JobQuery | None = replace(self.query, limit=_PAGE)
        while query is not None and len(found) <= MAX_FOUND:
            page = await session.backend.reader.jobs(query)
            found += [row.facts.job_id for row in page.items]
            query = replace(query, cursor=page.next) if page.next else None
        return found

    def _agree(self, count: int) -> None:
        jobs = "1 job" if count == 1 else f"{count:,} jobs"
        if self.expected is not None:
            if count != self.expected:
                raise ActionRefused(f"the filter finds {jobs} now, not {self.expected:,}")
            return
        if not count:
            print(f"no job to {self.verb} matches", file=sys.stderr)
            return
        if not sys.stdin.isatty():
            remedy = f"say --expected {count} to {self.verb} them"
            raise InvalidRequest(f"the filter finds {jobs}; {remedy}", field="expected")
        print(f"{self.verb.capitalize()} {jobs}? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise ActionRefused("nothing was done")
