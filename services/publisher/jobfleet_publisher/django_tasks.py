"""A backend for Django's tasks: ``django.tasks``, or its backport ``django_tasks`` before Django 6.

::

    TASKS = {"default": {"BACKEND": "jobfleet_publisher.django_tasks.JobfleetBackend"}}

A worker runs the tasks with ``--handlers jobfleet_worker.django_tasks``.
"""

from __future__ import annotations

import builtins
from typing import Any
from uuid import UUID

from django.utils.module_loading import import_string

from jobfleet_contracts.state import State
from jobfleet_publisher.django import get_publisher
from jobfleet_publisher.job_details import JobDetails

try:
    from django.tasks.backends.base import BaseTaskBackend
    from django.tasks.base import Task, TaskError, TaskResult, TaskResultStatus
    from django.tasks.exceptions import TaskResultDoesNotExist
except ImportError:
    from django_tasks.backends.base import BaseTaskBackend
    from django_tasks.base import Task, TaskError, TaskResult, TaskResultStatus
    from django_tasks.exceptions import TaskResultDoesNotExist

JOB_TYPE = "django.task"
LARGEST_PRIORITY = 100
_STATUS = {
    State.RUNNING: TaskResultStatus.RUNNING,
    State.WAITING: TaskResultStatus.RUNNING,
    State.COMPLETED: TaskResultStatus.SUCCESSFUL,
    State.FAILED: TaskResultStatus.FAILED,
    State.CANCELLED: TaskResultStatus.FAILED,
    State.TIMED_OUT: TaskResultStatus.FAILED,
}


class JobfleetBackend(BaseTaskBackend):
    """Submits each task as a job of type ``django.task`` in the queue that the task names.

    ``OPTIONS`` may hold ``max_attempts``, ``timeout`` and ``retry_delay``, in seconds.
    """

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Submit a task; returns when its job is in the trail.

        Raises:
            InvalidRequest: JSON cannot hold an argument.
            BackendUnavailable: the trail did not answer. The job may have been accepted.
        """
        self.validate_task(task)
        job = get_publisher().submit(
            JOB_TYPE,
            {"task": task.module_path, "args": list(args), "kwargs": dict(kwargs)},
            name=task.module_path,
            queue=task.queue_name,
            priority=priority_of(task.priority),
            run_at=task.run_after,
            **self.options,
        )
        return self.get_result(job.job_id)

    def get_result(self, result_id: str) -> Any:
        """Return where a task stands.

        Raises:
            TaskResultDoesNotExist: no job has this id, or it is not a task.
        """
        publisher = get_publisher()
        details = publisher.find(result_id) if _is_job_id(result_id) else None
        request = publisher.find_request(result_id) if details is not None else None
        if details is None or request is None or details.job_type != JOB_TYPE:
            raise TaskResultDoesNotExist(result_id)
        return self._result(details, request.payload or {})

    def _result(self, details: JobDetails, call: dict[str, Any]) -> Any:
        status = _STATUS.get(details.state, TaskResultStatus.READY)
        ended = details.updated_at if details.state.is_terminal else None
        result = TaskResult(
            task=task_at(call["task"]),
            id=details.job_id,
            status=status,
            enqueued_at=details.created_at,
            started_at=None,
            last_attempted_at=None,
            finished_at=ended,
            args=call.get("args", []),
            kwargs=call.get("kwargs", {}),
            backend=self.alias,
            errors=_errors(details),
            worker_ids=[],
        )
        object.__setattr__(result, "_return_value", details.result)  # frozen, as Django's own does
        return result


def task_at(path: str) -> Any:
    """Return the task at an import path.

    Raises:
        LookupError: nothing is there, or no task.
    """
    try:
        found = import_string(path)
    except ImportError as error:
        raise LookupError(f"there is no task {path!r}: {error}") from error
    if not isinstance(found, Task):
        raise LookupError(f"{path!r} is not a task. Mark the function with @task")
    return found


def priority_of(priority: int) -> int:
    """Return a job's priority, 0 to 9, for a task's of -100 to 100; 0 is the usual 5."""
    steps = 4 if priority > 0 else 5
    return 5 + round(priority / LARGEST_PRIORITY * steps)


def _is_job_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _errors(details: JobDetails) -> list[Any]:
    error = details.error
    if error is None:
        return []
    is_known = isinstance(getattr(builtins, error.type, None), type)
    name = error.type if is_known else "Exception"
    traceback = error.traceback or f"{error.type}: {error.message}"
    return [TaskError(exception_class_path=f"builtins.{name}", traceback=traceback)]
