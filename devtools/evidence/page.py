"""The page ``docs/evidence.md``, from claims and results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape

from devtools.evidence.claims import CLAIMS, COMMANDS, SEEDS, Claim
from devtools.evidence.result import Result

_POINTS = 12
"""Of a curve that are shown."""

Load = Callable[[str], Result | None]

_INTRODUCTION = """# Evidence

Each promise, what would show it wrong, and the runs that tried. `make evidence` writes this page
from the result files in `evidence/`. A run without a file says "not run". A run that was stopped
before its end says so and shows what it has; it does not count as passed. Two runs that name the
same product code ran on the same content of `services/` and `shared/`; `make evidence` lists the
runs on older code. To repeat a run and record it:

```sh
python -m devtools.evidence record simulation
```

`record simulation --seconds 1500` stops after that time; the next call goes on with the seeds that
are left. Load is that of the machine: whatever ran beside a run makes it slower.

**On your own Azure account**: name it in `JOBFLEET_STORAGE_CONNECTION_STRING` and a broker in
`JOBFLEET_RABBITMQ_URL`, then run `make prove-azure`. It prints the bill and does nothing before you
confirm it with `ARGS=--yes`. It runs the conformance suites, two minutes of killed and stopped
workers, and a short bench. Everything it makes has a mark of its own in its name and is removed at
the end, after Ctrl-C too.
"""


def how_to_go_on(run: str) -> str:
    """Return what the next call does after a run was stopped."""
    return "goes on with the seeds that are left" if run in SEEDS else "begins anew"


def page(load: Load) -> str:
    """Return the page."""
    return "\n".join([_INTRODUCTION, *_claims(load), *_runs(load)])


def _claims(load: Load) -> Iterator[str]:
    for claim in CLAIMS:
        yield from _claim(claim, load)


def _claim(claim: Claim, load: Load) -> Iterator[str]:
    yield f"## {claim.promise}\n"
    yield f"- **Would be falsified by**: {claim.falsified_by}"
    yield f"- **Runs**: {', '.join(f'[{run}](#{run})' for run in claim.runs)}"
    yield from _deliberate_bugs(claim, load)
    yield f"- **Not covered**: {claim.not_covered}\n"


def _deliberate_bugs(claim: Claim, load: Load) -> Iterator[str]:
    head = "- **Deliberate bugs**:"
    if claim.bugs is None:
        yield f"{head} none: {claim.no_bugs}."
        return
    results = [result for result in map(load, claim.runs) if result and claim.bugs in result.bugs]
    whole = [result for result in results if not result.stopped]
    bugs: dict[str, bool] = {}
    for result in whole or results:
        bugs |= result.bugs[claim.bugs]
    if bugs:
        yield from _by_name(head, bugs, "" if whole else "; the run was stopped before its end")
    else:
        yield f"{head} not run"


def _by_name(head: str, bugs: Mapping[str, bool], note: str) -> Iterator[str]:
    yield f"{head} {sum(bugs.values())} of {len(bugs)} found{note}"
    names = (escape(name, quote=False) + ("" if bugs[name] else " (NOT FOUND)") for name in bugs)
    yield f"  <details><summary>their names</summary>{'; '.join(sorted(names))}</details>"


def _runs(load: Load) -> Iterator[str]:
    yield "## Runs\n"
    for run, command in COMMANDS.items():
        yield f"### {run}\n"
        result = load(run)
        yield from _not_run(command) if result is None else _result(result)


def _not_run(command: str) -> Iterator[str]:
    yield f"**Not run.** Command: `{command}`\n"


def _result(result: Result) -> Iterator[str]:
    yield _outcome(result) + "\n"
    yield "| | |\n|---|---|"
    yield f"| commit | `{result.commit}`, product code `{result.tree}` |"
    yield f"| command | `{result.command}` |"
    yield f"| machine | {result.machine} |"
    yield f"| duration | {result.seconds / 60:,.1f} minutes |"
    yield f"| load at the end | {result.load} |"
    for name, number in result.figures.items():
        yield f"| {name.replace('_', ' ')} | {_number(number)} |"
    yield ""
    yield from _curves(result)


def _outcome(result: Result) -> str:
    if not result.stopped:
        return f"**{'Passed' if result.passed else 'FAILED'}** on {result.date}."
    outcome = "FAILED and stopped" if result.figures.get("failed_seeds") else "Stopped"
    seeds = _seeds(result.figures, SEEDS[result.run]) if result.run in SEEDS else ""
    return (
        f"**{outcome} before its end** on {result.date}{seeds}. This does not count as passed. "
        f"The next call {how_to_go_on(result.run)}."
    )


def _seeds(figures: Mapping[str, float], of: int) -> str:
    names = ("seeds", "failed_seeds", "simulated_hours")
    done, failed, hours = (figures.get(name, 0) for name in names)
    return f": {done:,.0f} of {of:,} seeds, {failed:,.0f} failed, {hours:,.0f} simulated hours"


def _curves(result: Result) -> Iterator[str]:
    """A table of some points of each curve; the result's file holds all of them."""
    if not result.curves:
        return
    names = list(result.curves)
    longest = max(result.curves.values(), key=len)
    chosen = longest[:: max(1, len(longest) // _POINTS)]
    yield "| minute | " + " | ".join(names) + " |"
    yield "|---" * (len(names) + 1) + "|"
    for minute, _ in chosen:
        values = [_nearest(result.curves[name], minute) for name in names]
        yield f"| {minute:.0f} | " + " | ".join(map(_number, values)) + " |"
    yield ""


def _nearest(points: Sequence[Sequence[float]], minute: float) -> float:
    return min(points, key=lambda point: abs(point[0] - minute))[1]


def _number(number: float) -> str:
    return f"{number:,.0f}" if number == int(number) else f"{number:,.1f}"
