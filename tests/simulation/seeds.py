"""Running many seeds: those of `make test`, those of `make simulate`, and the hunt for one."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from devtools.evidence import figures
from tests.simulation.simulation import Simulation, Verdict

IN_EVERY_TEST_RUN = 2_000
IN_A_LONG_RUN = 100_000
_RUNS_A_COLLECTION = 25


def failures(seeds: Sequence[int]) -> list[str]:
    """Return what went wrong in these seeds, and how to see it again."""
    return [
        f"seed {verdict.seed}: {verdict.faults[0]}\n"
        f"    python -m tests.simulation.replay {verdict.seed}"
        for verdict in map(_counted, verdicts(seeds))
        if verdict.faults
    ]


def verdicts(seeds: Iterable[int], emphasis: Mapping[str, Any] | None = None) -> Iterator[Verdict]:
    """Run one seed after the other."""
    with _rare_collections() as collect:
        for number, seed in enumerate(seeds):
            if number % _RUNS_A_COLLECTION == 0:
                collect()
            yield Simulation(seed=seed, emphasis=emphasis).run()


def _counted(verdict: Verdict) -> Verdict:
    figures.count(
        seeds=1,
        failed_seeds=bool(verdict.faults),
        simulated_hours=verdict.seconds / 3600,
        jobs=verdict.jobs,
        events=verdict.events,
        takeovers=verdict.takeovers,
    )
    return verdict


@contextmanager
def _rare_collections() -> Iterator[Callable[[], int]]:
    """A run is all cycles, which cost a third of its time if they are looked for in between."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield gc.collect
    finally:
        if was_enabled:
            gc.enable()
