"""Example handlers to copy: an import with progress and checkpoints, and a report from it.

Run them with ``JOBFLEET_HANDLERS=jobfleet_cli.demo_jobs``.
"""

from __future__ import annotations

from jobfleet_cli.demo_jobs.penguin_import import import_penguins
from jobfleet_cli.demo_jobs.penguin_report import draw_report

__all__ = ["draw_report", "import_penguins"]
