"""Deliberate bugs in rates, modelled on faults of other job systems."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

from devtools.evidence.bug_class import BugClass
from jobfleet_contracts.rate import Rate, RateRow
from jobfleet_protocol.claiming.rate_limiter import Admission
from tests.simulation.emphases import MANY_FAULTS
from tests.simulation.fake_rates import RateTable
from tests.simulation.known import Known


@contextmanager
def rate_counted_at_admission() -> Iterator[None]:
    """A job that was counted once may start whenever it comes to it, beside others as late."""

    def never(self: Admission, now: datetime) -> bool:
        return False

    with (
        patch.object(Rate, "grace", timedelta(days=1)),
        patch.object(Admission, "is_over", never),
    ):
        yield


def a_row_written_without_a_look() -> AbstractContextManager[Any]:
    """Two workers that read the same row both write it, and both take its slot."""
    replace = RateTable.replace

    def whatever_stands(self: RateTable, key: str, moment: datetime, read: RateRow | None) -> bool:
        return replace(self, key, moment, self.rows.get(key))

    return patch.object(RateTable, "replace", whatever_stands)


_RATED = MANY_FAULTS | {
    "rate": "6/minute",
    "jobs": 9,
    "fleet_scope": False,
    "clock_steps": False,
    "stall_rate": 0.01,
}
OF_RATES = (
    Known(
        "a rate counted at admission",
        rate_counted_at_admission,
        3,
        _RATED,
        breaks=BugClass.LIMITS,
        shows=": rate ",
    ),
    Known(
        "a rate's row written without a look",
        a_row_written_without_a_look,
        6,
        _RATED,
        breaks=BugClass.LIMITS,
        shows=": rate ",
    ),
)
"""Faults of other systems' rates."""
