"""``record RUN`` makes a run and keeps its result; ``render`` writes ``docs/evidence.md``."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from devtools.evidence.claims import COMMANDS
from devtools.evidence.figures import environment, total
from devtools.evidence.page import page
from devtools.evidence.result import (
    ROOT,
    Result,
    commit_of_today,
    load,
    this_machine,
    tree_of_today,
)

PAGE = ROOT / "docs" / "evidence.md"


def main() -> int:
    """Return the exit code of the command that was recorded, 0 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m devtools.evidence", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record", help="make a run and keep its result")
    recording.add_argument("run", choices=COMMANDS)
    commands.add_parser("render", help="write docs/evidence.md from the results")
    arguments = parser.parse_args()
    passed = arguments.command == "render" or record(arguments.run).passed
    PAGE.write_text(page(load))
    today = tree_of_today()
    for run in COMMANDS:
        result = load(run)
        if result is None or result.tree != today:
            print(f"{run}: {'not run' if result is None else 'ran on older product code'}")
    return 0 if passed else 1


def record(run: str) -> Result:
    """Make a run and write its result, whether it passed or not."""
    commit, tree = commit_of_today(), tree_of_today()
    began = time.monotonic()
    with tempfile.NamedTemporaryFile() as figures:
        path = Path(figures.name)
        answer = subprocess.run(
            shlex.split(COMMANDS[run]), cwd=ROOT, env=environment(path), check=False
        )
        result = Result(
            run=run,
            command=COMMANDS[run],
            commit=commit,
            tree=tree,
            date=f"{datetime.now(UTC):%Y-%m-%d}",
            machine=this_machine(),
            seconds=round(time.monotonic() - began, 1),
            passed=answer.returncode == 0,
            figures=total(path),
        )
    result.save()
    return result


if __name__ == "__main__":
    sys.exit(main())
