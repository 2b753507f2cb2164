"""The demo's jobs: real imports and reports among steps of different lengths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jobfleet_contracts.job import JobRequest

_ROUND = 10
"""Jobs in a round: the first imports rows, the second draws a report from them."""

_FAILING = 2

_STEP_JOBS = (
    "sort letters",
    "count stock",
    "check invoices",
    "pack orders",
    "compare maps",
    "archive photos",
    "tidy sensor readings",
    "send reminders",
)


def sample_jobs(count: int, folder: Path) -> list[JobRequest]:
    """Return ``count`` requests; imports and reports keep their files in ``folder``."""
    return [JobRequest.parse(_job(number, folder)) for number in range(count)]


def _job(number: int, folder: Path) -> dict[str, Any]:
    round_, place = divmod(number, _ROUND)
    database = str(folder / f"penguins-{round_ + 1}.sqlite3")
    if place == 0:
        return _import(database)
    if place == 1:
        return _report(database, str(folder / f"penguins-{round_ + 1}.svg"))
    return _steps(place - 2)


def _import(database: str) -> dict[str, Any]:
    return {
        "type": "demo.import",
        "jobName": "import penguins",
        "description": "344 penguins from a CSV file into SQLite, with checkpoints",
        "priority": 8,
        "payload": {"database": database, "batch_rows": 25, "pause_seconds": 0.2},
    }


def _report(database: str, chart: str) -> dict[str, Any]:
    return {
        "type": "demo.report",
        "jobName": "draw penguin chart",
        "description": "body mass over flipper length as SVG",
        "payload": {"database": database, "chart": chart},
    }


def _steps(kind: int) -> dict[str, Any]:
    """Return a job of some steps. The third kind fails once; the last two share a lock key.

    Args:
        kind: which of the eight jobs of a round, from 0.
    """
    job: dict[str, Any] = {
        "type": "demo.steps",
        "jobName": _STEP_JOBS[kind],
        "priority": (5, 2, 8, 5)[kind % 4],
        "payload": {
            "steps": 3 + kind % 6,
            "stepSeconds": 0.5,
            "failAttempts": int(kind == _FAILING),
        },
    }
    if kind >= len(_STEP_JOBS) - 2:
        job["lockKey"] = "franking machine"
    return job
