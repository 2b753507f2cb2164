"""`python -m devtools.bench`: measures what it is asked for, prints tables, writes JSON."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from devtools.bench import (
    azure_row,
    embedded_row,
    growth,
    hot_tables,
    machine,
    postgres_row,
    thumbnail_row,
)
from devtools.bench.contestant import Entry
from devtools.bench.growth import Growth
from devtools.bench.hot_tables import HotTables
from devtools.bench.jobfleet_queue import keep_quiet
from devtools.bench.report import as_json, table
from devtools.bench.row import Result, measure, measure_idle
from devtools.servers import RabbitMQServer, choose_rabbitmq
from jobfleet_worker.options import available_cores

ROWS = ("embedded", "postgres", "azure", "thumbnails", "growth")
LONG_ROWS = ("tables",)
"""Only where they are named: a million jobs take half an hour."""
EMBEDDED: tuple[Entry, ...] = (
    partial(embedded_row.jobfleet, processes=1, concurrency=10),
    partial(embedded_row.jobfleet, processes=1, concurrency=100),
    partial(embedded_row.jobfleet, processes=2, concurrency=100),
    partial(embedded_row.jobfleet, processes=2, concurrency=100, scope="worker"),
    partial(postgres_row.procrastinate, processes=2, concurrency=100),
    partial(embedded_row.huey, workers=2, kind="process"),
    partial(embedded_row.huey, workers=1, kind="thread"),
)
POSTGRES: tuple[Entry, ...] = (
    partial(postgres_row.jobfleet, processes=1, concurrency=100),
    partial(postgres_row.jobfleet, processes=2, concurrency=100),
    partial(postgres_row.jobfleet, processes=1, concurrency=100, scope="worker"),
    partial(postgres_row.procrastinate, processes=1, concurrency=100),
    partial(postgres_row.procrastinate, processes=2, concurrency=100),
)

MOST_ON_AZURE = max(growth.AZURE_SIZES)
TITLES = {
    "embedded": "No-op jobs on SQLite; jobfleet with lease and audit trail, Huey with neither",
    "postgres": "No-op jobs on PostgreSQL; Procrastinate has neither lease nor trail",
    "azure": "No-op jobs on RabbitMQ and Azurite; six storage requests a job by hand in Celery",
    "thumbnails": "Thumbnails in processes; Celery on RabbitMQ has neither lease nor trail",
}


def azure(rabbitmq: RabbitMQServer) -> tuple[Entry, ...]:
    """Return the contestants on RabbitMQ and Azurite."""
    return (
        partial(azure_row.jobfleet, rabbitmq=rabbitmq, processes=1, concurrency=32),
        partial(azure_row.jobfleet, rabbitmq=rabbitmq, processes=2, concurrency=16),
        partial(azure_row.jobfleet, rabbitmq=rabbitmq, processes=1, concurrency=100),
        partial(azure_row.jobfleet, rabbitmq=rabbitmq, processes=1, concurrency=32, scope="worker"),
        partial(
            azure_row.jobfleet,
            rabbitmq=rabbitmq,
            processes=1,
            concurrency=32,
            scope="worker",
            shards=16,
        ),
        partial(
            azure_row.jobfleet, rabbitmq=rabbitmq, processes=1, concurrency=100, scope="worker"
        ),
        partial(azure_row.bare, scope="job"),
        partial(azure_row.bare, scope="worker"),
        partial(azure_row.celery_with_results, rabbitmq=rabbitmq, pool=2),
        partial(azure_row.celery, rabbitmq=rabbitmq, pool=8),
        partial(azure_row.celery, rabbitmq=rabbitmq, pool=2),
    )


def thumbnails(rabbitmq: RabbitMQServer) -> tuple[Entry, ...]:
    """Return the contestants that compute, with as many processes as cores."""
    pool = available_cores()
    return (
        partial(thumbnail_row.embedded, pool=pool),
        partial(thumbnail_row.azure, rabbitmq=rabbitmq, pool=pool),
        partial(thumbnail_row.celery, rabbitmq=rabbitmq, pool=pool),
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the rows that the command line names."""
    arguments = _arguments(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers and workers are ended first
    keep_quiet()
    rows: dict[str, list[Result]] = {}
    grown: list[Growth] = []
    sized: list[HotTables] = []
    if "embedded" in arguments.rows:
        rows["embedded"] = _row(EMBEDDED, arguments, jobs=arguments.jobs or 4000)
    if "postgres" in arguments.rows:
        rows["postgres"] = _row(POSTGRES, arguments, jobs=arguments.jobs or 2000)
    if "growth" in arguments.rows:
        sizes = arguments.sizes or growth.EMBEDDED_SIZES
        grown += growth.embedded(sizes, arguments.jobs or growth.JOBS)
    if "tables" in arguments.rows:
        sized = hot_tables.measure(arguments.jobs or hot_tables.JOBS)
    if {"azure", "thumbnails", "growth"} & set(arguments.rows):
        with tempfile.TemporaryDirectory(prefix="jobfleet-bench-") as folder:
            rabbitmq = choose_rabbitmq(Path(folder))
            rabbitmq.start()
            try:
                rows |= _rows_with_broker(rabbitmq, arguments)
                if "growth" in arguments.rows:
                    sizes = [n for n in arguments.sizes or growth.AZURE_SIZES if n <= MOST_ON_AZURE]
                    jobs = arguments.jobs or growth.JOBS
                    grown += growth.azure(sizes, jobs, rabbitmq=rabbitmq)
            finally:
                rabbitmq.stop()
    if arguments.json is not None:
        report = {name: as_json(results) for name, results in rows.items()}
        report |= {"growth": growth.as_json(grown)} if grown else {}
        report |= {"tables": hot_tables.as_json(sized)} if sized else {}
        text = json.dumps({"machine": machine.describe(), "rows": report}, indent=2)
        arguments.json.write_text(text + "\n")
    for name, results in rows.items():
        print(table(TITLES[name], results))
    if grown:
        print(growth.table(grown))
    if sized:
        print(hot_tables.table(sized))


def _rows_with_broker(
    rabbitmq: RabbitMQServer, arguments: argparse.Namespace
) -> dict[str, list[Result]]:
    rows: dict[str, list[Result]] = {}
    if "azure" in arguments.rows:
        rows["azure"] = _row(azure(rabbitmq), arguments, jobs=arguments.jobs or 600)
    if "thumbnails" in arguments.rows:
        rows["thumbnails"] = _row(thumbnails(rabbitmq), arguments, jobs=arguments.jobs or 400)
    return rows


def _row(entries: tuple[Entry, ...], arguments: argparse.Namespace, *, jobs: int) -> list[Result]:
    results = measure(entries, jobs=jobs, repeats=arguments.repeats, say=_say)
    if arguments.idle:
        measure_idle(entries, results, jobs=arguments.idle)
    return results


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m devtools.bench", description=__doc__)
    parser.add_argument(
        "rows",
        nargs="*",
        help=f"{', '.join(ROWS)}: all of these if none is named; {', '.join(LONG_ROWS)}",
    )
    parser.add_argument(
        "--sizes", type=_numbers, help="jobs stored in the row growth, as 1000,10000"
    )
    parser.add_argument("--jobs", type=int, help="jobs of one measurement")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--idle", type=int, default=40, help="jobs sent to idle workers; 0: none")
    parser.add_argument("--json", type=Path, help="file for every figure")
    arguments = parser.parse_args(argv)
    arguments.rows = arguments.rows or list(ROWS)
    if unknown := set(arguments.rows) - {*ROWS, *LONG_ROWS}:
        known = ", ".join((*ROWS, *LONG_ROWS))
        parser.error(f"there is no row {', '.join(sorted(unknown))}; rows are {known}")
    return arguments


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
