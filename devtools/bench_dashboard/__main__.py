"""`python -m devtools.bench_dashboard`: fills a backend, starts the dashboard, times its pages."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from devtools.bench import machine
from devtools.bench.jobfleet_queue import keep_quiet
from devtools.bench_dashboard import azure_row, embedded_row, postgres_row
from devtools.bench_dashboard.report import around, asked_table, timed_table, viewers_table
from devtools.bench_dashboard.served_here import Asked
from devtools.bench_dashboard.timing import Timed
from devtools.bench_dashboard.viewers import Behind

ROWS = ("embedded", "viewers", "postgres", "azure")
TITLES = {
    "embedded": "Pages and lists, embedded",
    "viewers": "Viewers of one page at 50 events/s, embedded, one dashboard process",
    "postgres": "Pages and lists, PostgreSQL",
    "azure": "Pages and lists, RabbitMQ and Azurite",
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the rows that the command line names."""
    arguments = _arguments(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers are ended first
    keep_quiet()
    figures: dict[str, object] = {"machine": machine.describe()}
    folder: Path = arguments.folder
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for row in arguments.rows:
        before = around()
        text, results = _measure(row, folder, arguments)
        figures[row] = [asdict(one) for one in results]
        print(f"\n{TITLES[row]}; before: {before}; after: {around()}\n\n{text}", flush=True)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


def _measure(
    row: str, folder: Path, options: argparse.Namespace
) -> tuple[str, Sequence[Timed | Behind | Asked]]:
    if row == "embedded":
        timed = asyncio.run(
            embedded_row.measure(folder, events=options.events, repeats=options.repeats)
        )
        return timed_table(timed), timed
    if row == "viewers":
        watching = embedded_row.watch(
            folder, events=options.events, viewers=options.viewers, seconds=options.seconds
        )
        behind = asyncio.run(watching)
        return viewers_table(behind), behind
    if row == "postgres":
        timed = asyncio.run(
            postgres_row.measure(folder, events=options.events, repeats=options.repeats)
        )
        return timed_table(timed), timed
    asked = asyncio.run(azure_row.measure(folder, jobs=options.jobs))
    return asked_table(asked), asked


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m devtools.bench_dashboard", description=__doc__)
    parser.add_argument("rows", nargs="*", help=f"{', '.join(ROWS)}; all if none is named")
    parser.add_argument(
        "--events", type=int, default=1_000_000, help="stored, embedded and postgres"
    )
    parser.add_argument("--repeats", type=int, default=20, help="requests a page, likewise")
    parser.add_argument("--viewers", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20, help="of watching, each page")
    parser.add_argument("--jobs", type=int, default=20_000, help="ended ones, azure")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("build/bench-dashboard"),
        help="keeps the databases here; those of the last hour are used again",
    )
    parser.add_argument("--json", type=Path, help="file for every figure")
    arguments = parser.parse_args(argv)
    arguments.rows = arguments.rows or list(ROWS)
    if unknown := set(arguments.rows) - set(ROWS):
        parser.error(f"there is no row {', '.join(sorted(unknown))}; rows are {', '.join(ROWS)}")
    return arguments


if __name__ == "__main__":
    main()
