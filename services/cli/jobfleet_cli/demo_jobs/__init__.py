"""Example handlers to copy: an import with checkpoints, a report from it, a count that recurs.

Run them with ``JOBFLEET_HANDLERS=jobfleet_cli.demo_jobs``.
"""

from __future__ import annotations

from jobfleet_cli.demo_jobs.penguin_count import count_penguins
from jobfleet_cli.demo_jobs.penguin_import import import_penguins
from jobfleet_cli.demo_jobs.penguin_report import draw_report

__all__ = ["count_penguins", "draw_report", "import_penguins"]
