"""What stands around every handler of the shop."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

from prometheus_client import Histogram

from jobfleet_worker import Run, around_attempt, on_error, on_startup, provide
from shop.store import Store

log = logging.getLogger("shop")
SECONDS = Histogram("shop_attempt_seconds", "How long attempts took.", ["type", "outcome"])


@on_startup
def check_database() -> None:
    """Do not start a worker that cannot reach the shop's database."""
    Store.of_this_shop().close()


@provide
def store() -> Iterator[Store]:
    """Give a handler its own connection: committed if it returns, forgotten if it raises."""
    opened = Store.of_this_shop()
    try:
        yield opened
        opened.commit()
    finally:
        opened.close()


@around_attempt
def timed(run: Run) -> Iterator[None]:
    """Measure each attempt by type and outcome."""
    began = time.monotonic()
    try:
        yield
    finally:
        seconds = time.monotonic() - began
        SECONDS.labels(run.job.type, run.outcome or "unknown").observe(seconds)


@on_error
def report(error: BaseException, run: Run) -> None:
    """Report jobs that failed for good. Sentry or a pager would stand here."""
    if run.final:
        log.error("%s %s failed: %s", run.job.type, run.job.job_id, error)
