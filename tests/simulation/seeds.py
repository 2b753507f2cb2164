"""Running many seeds: those of `make test`, those of `make simulate`, and the hunt for one."""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from devtools.evidence import figures
from tests.simulation.simulation import Simulation, Verdict

IN_EVERY_TEST_RUN = 2_000
IN_A_LONG_RUN = 100_000
_RUNS_A_COLLECTION = 5


def failures(seeds: range) -> list[str]:
    """Return what went wrong in these seeds, and how to see it again.

    A run that is recorded in slices leaves out seeds that an earlier slice found faultless.
    """
    part = f"seeds {seeds.start} to {seeds.stop} by {seeds.step}"
    if figures.is_done(part):
        return []
    began = time.process_time()
    seen = list(verdicts(seeds))
    wrong = [
        f"seed {verdict.seed}: {verdict.faults[0]}\n"
        f"    python -m tests.simulation.replay {verdict.seed}"
        for verdict in seen
        if verdict.faults
    ]
    core_hours = (time.process_time() - began) / 3600
    figures.count("" if wrong else part, core_hours=core_hours, **_counts(seen))
    return wrong


def verdicts(seeds: Iterable[int], emphasis: Mapping[str, Any] | None = None) -> Iterator[Verdict]:
    """Run one seed after the other."""
    with _rare_collections() as collect:
        for number, seed in enumerate(seeds):
            if number % _RUNS_A_COLLECTION == 0:
                collect()
            simulation = Simulation(seed=seed, emphasis=emphasis)
            verdict = simulation.run()
            simulation.take_apart()
            yield verdict


def _counts(seen: Sequence[Verdict]) -> dict[str, float]:
    fates: Counter[str] = Counter()
    for verdict in seen:
        fates.update(verdict.fates)
    faults = {figures.fault(kind): number for kind, number in fates.items() if kind != "ok"}
    return {
        "seeds": len(seen),
        "failed_seeds": sum(bool(verdict.faults) for verdict in seen),
        "simulated_hours": sum(verdict.seconds for verdict in seen) / 3600,
        "jobs": sum(verdict.jobs for verdict in seen),
        "events": sum(verdict.events for verdict in seen),
        "takeovers": sum(verdict.takeovers for verdict in seen),
        "requests": fates.total(),
        **faults,
    }


@contextmanager
def _rare_collections() -> Iterator[Callable[[], int]]:
    """A run is full of cycles, which cost a third of its time if they are looked for in between.

    What stands before the first run is frozen: each collection would else walk all modules.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    gc.collect()
    gc.freeze()
    try:
        yield gc.collect
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()
