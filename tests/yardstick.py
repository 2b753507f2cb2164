"""How slow this machine is now, for limits in CPU seconds that hold on the machine of reference."""

from __future__ import annotations

from devtools.bench.machine import pace_ms

_REFERENCE_MS = 9.0
"""The piece of Python of the benchmarks on a quiet AMD EPYC with 2 cores, Python 3.11."""


def slowness() -> float:
    """Return how many times the reference's CPU time the same work takes here now, at least 1.

    Other processors differ by a factor of two, and a neighbour on the same core takes its caches
    and half its time: CPU time grows with both.
    """
    return max(1.0, *(pace_ms() / _REFERENCE_MS for _ in range(3)))
