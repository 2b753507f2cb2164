"""``record RUN`` makes a run and keeps its result; ``render`` writes ``docs/evidence.md``."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from devtools.evidence import figures
from devtools.evidence.claims import COMMANDS
from devtools.evidence.page import how_to_go_on, page
from devtools.evidence.result import (
    ROOT,
    Result,
    code_of_today,
    commit_of_today,
    load,
    this_machine,
    tree_of_today,
)

PAGE = ROOT / "docs" / "evidence.md"
SLICES = ROOT / "build" / "evidence"


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0, 1 if the recorded run failed, or 3 if it was stopped before its end."""
    parser = argparse.ArgumentParser(prog="python -m devtools.evidence", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record", help="make a run and keep its result")
    recording.add_argument("run", choices=COMMANDS)
    recording.add_argument(
        "--seconds", type=float, help="stop then; the next call goes on, of the simulation's seeds"
    )
    commands.add_parser("render", help="write docs/evidence.md from the results")
    arguments = parser.parse_args(argv)
    code = 0
    if arguments.command == "record":
        code = _code(record(arguments.run, seconds=arguments.seconds))
    PAGE.write_text(page(load))
    today = tree_of_today()
    for run in COMMANDS:
        result = load(run)
        if result is None:
            print(f"{run}: not run")
            continue
        if result.stopped:
            print(f"{run}: stopped before its end")
        if result.tree != today:
            print(f"{run}: ran on older product code")
    return code


def _code(result: Result) -> int:
    if result.stopped:
        print(f"stopped before its end; the next call {how_to_go_on(result.run)}", file=sys.stderr)
        return 3
    return 0 if result.passed else 1


def record(run: str, *, seconds: float | None = None) -> Result:
    """Make a run and write its result, whether it passed, failed or was stopped before its end.

    Args:
        seconds: stop then, and go on at the next call, where product code and tests are the same.
    """
    commit, tree = commit_of_today(), tree_of_today()
    slices = SLICES / f"{run}-{code_of_today()}.jsonl"
    slices.parent.mkdir(parents=True, exist_ok=True)
    figures.keep_parts(slices)
    began = time.monotonic()
    code = _run(shlex.split(COMMANDS[run]), figures.environment(slices), seconds)
    figures.add_slice(slices, time.monotonic() - began)
    result = Result(
        run=run,
        command=COMMANDS[run],
        commit=commit,
        tree=tree,
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        machine=this_machine(),
        seconds=round(figures.seconds(slices), 1),
        passed=code == 0,
        stopped=code is None,
        figures=figures.total(slices),
        load=round(os.getloadavg()[0], 1),
        curves=figures.curves(slices),
        bugs=figures.bugs(slices),
    )
    if result.replaces(load(run)):
        result.save()
    if result.passed:
        slices.unlink()
    return result


def _run(
    command: Sequence[str], environment: Mapping[str, str], seconds: float | None
) -> int | None:
    """Return the exit code of a command; ``None`` if its time was over, or Ctrl-C came."""
    # What a script runs in its background ignores SIGINT, and so would the command: nothing else
    # stops it, and we would wait for ever.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)
    try:
        return process.wait(seconds)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        os.killpg(process.pid, signal.SIGINT)
        process.wait()
        return None


if __name__ == "__main__":
    sys.exit(main())
