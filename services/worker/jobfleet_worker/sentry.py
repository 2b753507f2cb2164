"""Reports failed jobs to Sentry: name this module in ``JOBFLEET_HANDLERS``, or use its function.

Needs ``pip install 'jobfleet[sentry]'``. Call ``sentry_sdk.init`` in an ``@on_startup`` hook.
"""

from __future__ import annotations

from collections.abc import Callable

from jobfleet_worker.handlers.hook_marks import on_error
from jobfleet_worker.handlers.hooks import Run

try:
    import sentry_sdk
except ImportError as error:
    raise ImportError("Sentry's library is missing: pip install 'jobfleet[sentry]'") from error


def report_errors(*, every_attempt: bool = False) -> Callable[[BaseException, Run], None]:
    """Return an ``on_error`` hook that sends the error with the tags job, type and attempt.

    Args:
        every_attempt: send failures that another attempt follows too.
    """

    @on_error
    def report(error: BaseException, run: Run) -> None:
        if not run.final and not every_attempt:
            return
        with sentry_sdk.new_scope() as scope:
            scope.set_tag("job", run.job.job_id)
            scope.set_tag("type", run.job.type)
            scope.set_tag("attempt", run.attempt)
            scope.capture_exception(error)

    return report


final_failures = report_errors()
