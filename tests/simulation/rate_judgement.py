"""What must be true of a rate: no window of time has more starts than its bound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jobfleet_contracts.rate import Rate

SKEW_SECONDS = 0.4
"""By which two processes' clocks differ at most, where no clock is set."""


def rate_faults(rate: Rate | None, starts: Sequence[tuple[float, str]]) -> Iterator[str]:
    """Yield the first window with too many starts.

    Args:
        starts: of handlers, with their jobs; seconds of the simulation, in their order.
    """
    if rate is None:
        return
    interval = rate.interval.total_seconds()
    for first, (begin, job_id) in enumerate(starts):
        for last in range(first + 1, len(starts)):
            window = starts[last][0] - begin
            count = last - first + 1
            bound = (window + rate.grace_seconds + SKEW_SECONDS) / interval + rate.burst
            if count > bound + 1e-6:
                yield (
                    f"{count} starts in {window:.3f} s from {begin:.3f} s on, job {job_id} the "
                    f"first: rate {rate} allows {bound:.2f}"
                )
                return
