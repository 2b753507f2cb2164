"""Django's tasks on the fleet, as a project calls them."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from jobfleet_publisher.django_tasks import priority_of
from tests.docs.sample_page import SamplePage

TASKS = """
try:
    from django.tasks import task
except ImportError:
    from django_tasks import task


@task(priority=50)
def double(number):
    return number * 2


@task()
async def halve(number):
    return number / 2


@task(takes_context=True)
def tell(context, *, why):
    return [why, context.attempt, context.task_result.args]


@task()
def broken():
    raise ValueError("as always")
"""
PROGRAM = """
import asyncio, sys, threading
from dataclasses import replace

import django

django.setup()
try:
    from django.tasks import default_task_backend
    from django.tasks.exceptions import TaskResultDoesNotExist
except ImportError:
    from django_tasks import default_task_backend
    from django_tasks.exceptions import TaskResultDoesNotExist

import tasks
from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import load_settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_cli.worker_process import worker_options
from jobfleet_publisher.django import get_publisher
from jobfleet_worker.handlers.registry import Handlers
from jobfleet_worker.worker import Worker

made = [tasks.double.enqueue(4), tasks.halve.enqueue(4), tasks.tell.enqueue(why="so")]
failed = tasks.broken.enqueue()
strange = get_publisher().submit("django.task", {"task": "os.system", "args": ["true"]})
assert [each.status for each in made] == ["READY"] * 3
assert get_publisher().find_request(made[0].id).priority == 7


async def work():
    settings = load_settings()
    backend = await open_backend(settings)
    worker = Worker(
        backend=backend,
        handlers=Handlers.load(["jobfleet_worker.django_tasks"]),
        options=worker_options(settings),
        clock=SystemClock(),
    )
    running = asyncio.create_task(worker.run())
    for each in [each.id for each in (*made, failed)] + [strange.job_id]:
        await asyncio.to_thread(get_publisher().job(each).wait, 60)
    worker.request_stop()
    await running
    await backend.close()


asyncio.run(work())
for each in (*made, failed):
    each.refresh()
assert [each.return_value for each in made] == [8, 2, ["so", 1, []]]
assert failed.status == "FAILED"
assert failed.errors[0].exception_class is ValueError
assert "as always" in failed.errors[0].traceback
assert "is not a task" in get_publisher().job(strange.job_id).wait(5).reason
for unknown in ("nothing", "01a2190b-29d1-706a-bbd5-be8ae16694b6"):
    try:
        default_task_backend.get_result(unknown)
    except TaskResultDoesNotExist:
        continue
    raise AssertionError(unknown)
print("done")
"""


def test_tasks_run_on_a_worker_and_their_results_come_back(tmp_path: Path) -> None:
    replacing = {'"max_attempts": 5': '"max_attempts": 1'}
    if find_spec("django.tasks") is not None:
        replacing['"django_tasks"]  # before Django 6'] = "]"
    SamplePage("docs/web-servers.md").write(tmp_path, replacing=replacing)
    (tmp_path / "tasks.py").write_text(TASKS)
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "task_settings",
        "JOBFLEET_DATA_DIR": str(tmp_path / "jobs"),
    }
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert ran.stdout.strip() == "done", ran.stderr


@pytest.mark.parametrize(("task", "job"), [(-100, 0), (-1, 5), (0, 5), (1, 5), (50, 7), (100, 9)])
def test_priorities_keep_their_order(task: int, job: int) -> None:
    assert priority_of(task) == job
    assert priority_of(task - 1) <= job
