"""What a start of one job needs beside its lock: its worker says so before each claim."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.outcome import JobError
from jobfleet_protocol.claiming.limit_slots import SlotDemand
from jobfleet_protocol.claiming.rate_slots import RateDemand


@dataclass(frozen=True, slots=True, kw_only=True)
class StartTerms:
    """The terms of one job.

    Attributes:
        slots: limits of which it needs a slot beside its lock, in the order to take them.
        rates: what its starts count against.
        problem: code of the user's failed to say the terms. The attempt then fails with it before
            its handler runs, so it counts against no rate.
    """

    slots: tuple[SlotDemand, ...] = ()
    rates: tuple[RateDemand, ...] = ()
    problem: JobError | None = None


NO_TERMS = StartTerms()
TermsOf = Callable[[JobRequest], Awaitable[StartTerms]]
