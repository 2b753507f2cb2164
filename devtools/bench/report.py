"""The figures as a table for people and as JSON for machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from devtools.bench.row import Result

_NAME = 44
_HEADER = (
    f"{'':{_NAME}}{'jobs/s':>8}{'(min-max)':>15}{'x':>6}{'of limit':>9}{'us CPU/job':>11}{'x':>6}"
    f"{'submit/s':>9}{'x':>6}{'us CPU':>7}{'ready s':>8}{'idle ms':>8}{'p95':>7}"
    f"{'server us/job':>15}{'/submit':>9}"
)
"""Behind three of the figures stands how many times the peer's they are."""


def table(title: str, results: Sequence[Result]) -> str:
    """Return lines of medians; the last contestant is the peer of the others."""
    rates = {result.name: _median(result, "run_per_second") for result in results}
    lines = [_line(result, results[-1], rates.get(result.limit or "")) for result in results]
    loads = [load for result in results for load in result.loads]
    paces = [pace for result in results for pace in result.paces_ms]
    around = f"load {min(loads)} to {max(loads)}, pace {min(paces)} to {max(paces)} ms"
    return "\n".join([f"{title} ({around})", _HEADER, *lines])


def as_json(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return every measurement, not only the medians."""
    return [asdict(result) for result in results]


def _line(result: Result, peer: Result, limit: float | None) -> str:
    rates = [found.run_per_second for found in result.drains]
    spread = f"({min(rates):,.0f}-{max(rates):,.0f})"
    idle = sorted(result.idle_ms)
    waits = (
        f"{median(idle):>8.1f}{idle[int(len(idle) * 0.95)]:>7.1f}" if idle else f"{'-':>8}{'-':>7}"
    )

    def beside(figure: str, width: int) -> str:
        mine = _median(result, figure)
        return f"{mine:>{width},.0f}{mine / _median(peer, figure):>6.2f}"

    submits = f"{'-':>9}{'-':>6}{'-':>7}"
    if result.takes_jobs:
        submits = f"{beside('submit_per_second', 9)}{_median(result, 'submit_cpu_us'):>7,.0f}"
    return (
        f"{result.name:{_NAME}}{median(rates):>8,.0f}{spread:>15}"
        f"{median(rates) / _median(peer, 'run_per_second'):>6.2f}"
        f"{'-' if limit is None else f'{median(rates) / limit:.0%}':>9}"
        f"{beside('run_cpu_us', 11)}{submits}"
        f"{_median(result, 'start_seconds'):>8.2f}{waits}"
        f"{_of_server(result, 'run_server_us'):>15}{_of_server(result, 'submit_server_us'):>9}"
    )


def _of_server(result: Result, figure: str) -> str:
    if any(getattr(found, figure) is None for found in result.drains):
        return "-"
    return f"{_median(result, figure):,.0f}"


def _median(result: Result, figure: str) -> float:
    figures: list[float] = [getattr(found, figure) for found in result.drains]
    return median(figures)
