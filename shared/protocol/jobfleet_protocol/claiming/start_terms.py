"""What a start of one job needs beside its lock; the worker states it before each claim."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.outcome import JobError
from jobfleet_protocol.claiming.lock_slots import LockSlotDemand
from jobfleet_protocol.claiming.rate_limiter import RateDemand
from jobfleet_protocol.control.limit_state import Limit


@dataclass(frozen=True, slots=True, kw_only=True)
class StartTerms:
    """The terms of one job.

    Attributes:
        slot_demands: in the order to take them. The job needs a lock slot for each.
        limits: named limits that the lock slots are made from, as they were read.
        rates: what its starts count against.
        problem: code of the user's failed to say the terms. The attempt then fails with it before
            its handler runs, so it counts against no rate.
    """

    slot_demands: tuple[LockSlotDemand, ...] = ()
    limits: tuple[Limit, ...] = ()
    rates: tuple[RateDemand, ...] = ()
    problem: JobError | None = None

    def hold_under(self, limits: Mapping[str, Limit]) -> bool:
        """Whether the limits still have the numbers of slots from which the terms were made."""
        now = (limits.get(each.name) for each in self.limits)
        return all(
            found is not None and (found.slots, found.removed) == (each.slots, each.removed)
            for found, each in zip(now, self.limits, strict=True)
        )


NO_TERMS = StartTerms()
ReadLimits = Callable[[], Awaitable[Mapping[str, Limit]]]
TermsOf = Callable[[JobRequest], Awaitable[StartTerms]]
