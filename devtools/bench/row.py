"""A row of the report: contestants that take turns, several times."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from devtools.bench.contestant import Contestant, Entry
from devtools.bench.drain import Drain, drain
from devtools.bench.latency import idle_starts
from devtools.bench.machine import load, pace_ms

Say = Callable[[str], None]


@dataclass(slots=True)
class Result:
    """All measurements of one contestant, and what else the machine did.

    Attributes:
        loads: load average of the minute before each measurement's end.
        paces_ms: CPU milliseconds of a fixed piece of Python right after it.
        idle_ms: from submit to start of single jobs.
        limit: name of the result that shows what the storage takes at most.
        takes_jobs: whether jobs were submitted to it.
    """

    name: str
    limit: str | None = None
    takes_jobs: bool = True
    drains: list[Drain] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)
    paces_ms: list[float] = field(default_factory=list)
    idle_ms: list[float] = field(default_factory=list)


def measure(entries: Sequence[Entry], *, jobs: int, repeats: int, say: Say) -> list[Result]:
    """Let the contestants empty their queues in turn, so that all see the machine's moods."""
    results: dict[int, Result] = {}
    for turn in range(repeats):
        for place, entry in enumerate(entries):
            with _entered(entry) as contestant:
                found = drain(contestant, jobs)
            result = results.setdefault(
                place, Result(contestant.name, contestant.limit, contestant.takes_jobs)
            )
            result.drains.append(found)
            result.loads.append(load())
            result.paces_ms.append(pace_ms())
            say(
                f"  {turn + 1}/{repeats} {contestant.name}: {found.run_per_second:,.0f} jobs/s, "
                f"{found.run_cpu_us:,.0f} us CPU a job, load {result.loads[-1]}, "
                f"pace {result.paces_ms[-1]} ms"
            )
    return [results[place] for place in sorted(results)]


def measure_idle(entries: Sequence[Entry], results: list[Result], *, jobs: int) -> None:
    """Add how soon an idle worker of each contestant starts a job."""
    for entry, result in zip(entries, results, strict=True):
        with _entered(entry) as contestant:
            if contestant.takes_jobs:
                result.idle_ms = idle_starts(contestant, jobs)


@contextmanager
def _entered(entry: Entry) -> Iterator[Contestant]:
    with tempfile.TemporaryDirectory(prefix="jobfleet-bench-") as folder:
        contestant = entry(Path(folder))
        try:
            yield contestant
        finally:
            contestant.close()
