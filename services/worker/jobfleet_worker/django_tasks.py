"""Runs the tasks of Django: name this module in ``JOBFLEET_HANDLERS``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import django
from django.db import close_old_connections

from jobfleet_publisher.django_tasks import JOB_TYPE, task_at
from jobfleet_worker.handlers.context import BlockingJobContext
from jobfleet_worker.handlers.declaration import handler
from jobfleet_worker.handlers.hook_marks import around_attempt, on_startup
from jobfleet_worker.handlers.hooks import Run
from jobfleet_worker.handlers.verdicts import Fail

try:
    from django.tasks.base import TaskContext, TaskResult, TaskResultStatus
except ImportError:
    from django_tasks.base import TaskContext, TaskResult, TaskResultStatus


@dataclass(frozen=True)
class TaskCall:
    """A task by its import path, and what it is called with."""

    task: str
    args: list[Any] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)


@on_startup
def set_up() -> None:
    """Load the project's settings and applications."""
    django.setup()


@around_attempt(scope="module")
def fresh_connections(_run: Run) -> Iterator[None]:
    """Close broken and old database connections, as before and after a request."""
    close_old_connections()
    try:
        yield
    finally:
        close_old_connections()


@handler(JOB_TYPE)
def run_task(call: TaskCall, context: BlockingJobContext) -> Any:
    """Call the task; what it raises fails the attempt.

    Raises:
        Fail: there is no such task; another attempt would not help.
    """
    try:
        task = task_at(call.task)
    except LookupError as error:
        raise Fail(str(error)) from error
    if not task.takes_context:
        return task.call(*call.args, **call.kwargs)
    return task.call(_context(task, call, context), *call.args, **call.kwargs)


def _context(task: Any, call: TaskCall, context: BlockingJobContext) -> Any:
    result = TaskResult(
        task=task,
        id=context.job.job_id,
        status=TaskResultStatus.RUNNING,
        enqueued_at=context.job.created_at,
        started_at=None,
        last_attempted_at=None,
        finished_at=None,
        args=call.args,
        kwargs=call.kwargs,
        backend=task.backend,
        errors=[],
        worker_ids=[str(number) for number in range(context.attempt)],
    )
    return TaskContext(task_result=result)
