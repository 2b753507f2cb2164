"""Conformance, chaos and a bench on the servers named in the environment: docs/evidence.md.

Reads JOBFLEET_STORAGE_CONNECTION_STRING and JOBFLEET_RABBITMQ_URL. Everything it makes has a mark
of the run in its name and is removed at the end, after Ctrl-C too. Nothing else is touched.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from devtools.evidence import figures
from devtools.evidence.__main__ import main as evidence
from devtools.prove_azure import names
from devtools.prove_azure.bench import bench
from devtools.prove_azure.bill import estimate
from devtools.prove_azure.cleaning import clean, left_in_storage
from devtools.prove_azure.target import NotNamedError, Target, named_target

CHAOS_SECONDS, JOBS = 120.0, 500
_PYTEST = [sys.executable, "-m", "pytest", "-q", "--timeout=0"]
_CONFORMANCE = [*_PYTEST, "tests/conformance", "-k", "azure", "--numprocesses=4"]
_CHAOS = [*_PYTEST, "tests/chaos", "-m", "chaos", "-k", "on_named_servers"]


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0, 1 if something failed, 2 if the run was not confirmed or no server is named."""
    arguments = _arguments(argv)
    try:
        target = named_target()
    except NotNamedError as error:
        print(error, file=sys.stderr)
        return 2
    if arguments.steps:
        return steps(target)
    print(f"account {target.account}, broker {target.broker_host}: ", end="")
    print("an emulator, nothing is billed" if target.is_emulator else _bill())
    if not arguments.yes:
        print("confirm with --yes: make prove-azure ARGS=--yes", file=sys.stderr)
        return 2
    return evidence(["record", "azurite-as-azure" if target.is_emulator else "azure"])


def _bill() -> str:
    return str(estimate(chaos_seconds=CHAOS_SECONDS, jobs=JOBS))


def steps(target: Target) -> int:
    """Run everything, then clean, whatever happened."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    mark = names.new_mark()
    with tempfile.TemporaryDirectory(prefix="jobfleet-prove-") as folder:
        noted = Path(folder) / "namespaces"
        os.environ |= names.environment(mark, noted)
        os.environ |= {"CHAOS_NAMED_SECONDS": str(CHAOS_SECONDS)}
        try:
            failed = [command for command in (_CONFORMANCE, _CHAOS) if not _passes(command)]
            measured = bench(target, JOBS)
        except KeyboardInterrupt:
            print("stopped: removing what the run has made", file=sys.stderr)
            return 130
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not stop this
            clean(target, mark, noted)
            left = left_in_storage(target, mark)
            print(f"left in the account: {', '.join(left) or 'nothing'}", file=sys.stderr)
    figures.count(
        bench_jobs=JOBS,
        bench_submits_a_second=measured.submit_per_second,
        bench_jobs_a_second=measured.run_per_second,
        left_in_the_account=len(left),
    )
    return 1 if failed or left else 0


def _passes(command: Sequence[str]) -> bool:
    """Run a command that gets Ctrl-C as we do, and ends by itself then."""
    process = subprocess.Popen(command)
    try:
        return process.wait() == 0
    except KeyboardInterrupt:
        process.wait()
        raise


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m devtools.prove_azure", description=__doc__)
    parser.add_argument("--yes", action="store_true", help="the bill is confirmed")
    parser.add_argument("--steps", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
