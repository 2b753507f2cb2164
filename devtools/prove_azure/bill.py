"""What a run costs at most on a real account."""

from __future__ import annotations

from dataclasses import dataclass

CONFORMANCE_REQUESTS = 40_000
REQUESTS_A_JOB = 30
IDLE_REQUESTS_A_SECOND = 12
"""Heartbeats, renewals and sweeps of four workers."""
USD_A_10_000_REQUESTS = 0.10
"""Above the list price of the dearest operations that jobfleet uses, writes of hot blobs in an
expensive region. The account's own price list decides."""


@dataclass(frozen=True, slots=True)
class Bill:
    """An upper bound of storage requests; the megabytes stored cost less than a cent."""

    requests: int

    @property
    def usd(self) -> float:
        return self.requests / 10_000 * USD_A_10_000_REQUESTS

    def __str__(self) -> str:
        return f"at most {self.requests:,} storage requests, about {self.usd:.2f} USD"


def estimate(*, chaos_seconds: float, jobs: int) -> Bill:
    """Return the bill of the conformance suites, of chaos for so long, and of a bench."""
    chaotic = chaos_seconds * (3 * REQUESTS_A_JOB + IDLE_REQUESTS_A_SECOND)
    return Bill(round(CONFORMANCE_REQUESTS + chaotic + jobs * REQUESTS_A_JOB))
