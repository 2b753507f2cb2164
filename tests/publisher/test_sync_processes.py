"""The blocking publisher among threads and forks, on both backends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = 90

THREADS = """
import threading
from jobfleet_publisher.sync import Publisher

publisher, errors, jobs = Publisher(), [], []
together = threading.Barrier(8)

def begin(number):
    together.wait()
    try:
        publisher.start()
        jobs.append(publisher.submit("echo", number).job_id)
    except BaseException as error:
        errors.append(error)

threads = [threading.Thread(target=begin, args=(n,)) for n in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert not errors, errors
assert len(set(jobs)) == 8
alive = [t.name for t in threading.enumerate()].count("jobfleet-publisher")
assert alive == 1, alive
stops = [threading.Thread(target=publisher.stop) for n in range(8)]
for thread in stops: thread.start()
for thread in stops: thread.join()
publisher.stop()
assert "jobfleet-publisher" not in [t.name for t in threading.enumerate()]
publisher.start()
publisher.submit("echo")
publisher.stop()
print("done")
"""

FORK = """
import os, sys
from jobfleet_publisher.sync import Publisher

publisher = Publisher()
publisher.start()
before = publisher.submit("echo", 1)
children = []
for number in range(2):
    child = os.fork()
    if child == 0:
        ours = publisher.submit("echo", number)
        assert ours.state().value == "queued"
        assert before.state().value == "queued"
        assert publisher.find(before.job_id) is not None
        if number == 0:
            publisher.stop()
        sys.exit(0)
    children.append(child)
for child in children:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
after = publisher.submit("echo", 3)
assert before.cancel().value == after.cancel().value == "cancelled"
publisher.stop()
unused = Publisher()
if os.fork() == 0:
    try:
        unused.submit("echo")
    except RuntimeError as error:
        os._exit(7 if "not started" in str(error) else 1)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 7
print("done")
"""

FORKS_UNDER_LOAD = """
import os, sys, threading
from jobfleet_publisher.sync import Publisher

publisher, over = Publisher(), threading.Event()
publisher.start()

def load():
    while not over.is_set():
        publisher.submit("echo")

threads = [threading.Thread(target=load, daemon=True) for n in range(3)]
for thread in threads: thread.start()
for number in range(6):
    child = os.fork()
    if child == 0:
        publisher.submit("echo", idempotency_key=f"child/{number}")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
over.set()
for thread in threads: thread.join()
assert not any(publisher.submit("echo", idempotency_key=f"child/{n}").created for n in range(6))
publisher.stop()
print("done")
"""

PARENT_STOPS_FIRST = """
import os
from jobfleet_publisher.sync import Publisher

publisher = Publisher()
publisher.start()
opened, stopped = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    publisher.submit("echo")
    os.write(opened[1], b"1")
    os.read(stopped[0], 1)
    publisher.submit("echo", idempotency_key="after the parent")
    os._exit(0)
os.read(opened[0], 1)
publisher.stop()
os.write(stopped[1], b"1")
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
publisher.start()
assert not publisher.submit("echo", idempotency_key="after the parent").created
publisher.stop()
print("done")
"""

STOPPED_BENEATH = """
import threading, time
from concurrent.futures import CancelledError
from jobfleet_publisher.sync import Publisher

publisher = Publisher()
publisher.start()
job = publisher.submit("echo")
ended = []

def wait():
    try:
        job.wait()
    except (CancelledError, RuntimeError) as error:
        ended.append(error)

thread = threading.Thread(target=wait)
thread.start()
time.sleep(0.5)
publisher.stop()
thread.join(30)
assert not thread.is_alive() and ended
print("done")
"""


def _run(program: str, environment: dict[str, str], folder: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (answer.returncode, answer.stdout) == (0, "done\n"), answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.servers
def test_eight_threads_that_start_one_publisher_at_once_share_it(
    backend_environment: dict[str, str], tmp_path: Path
) -> None:
    _run(THREADS, backend_environment, tmp_path)


@pytest.mark.servers
def test_a_forked_child_opens_anew_and_the_parent_goes_on(
    backend_environment: dict[str, str], tmp_path: Path
) -> None:
    _run(FORK, backend_environment, tmp_path)


@pytest.mark.servers
def test_jobs_of_a_forked_child_stay_when_the_parent_stops_first(
    backend_environment: dict[str, str], tmp_path: Path
) -> None:
    _run(PARENT_STOPS_FIRST, backend_environment, tmp_path)


@pytest.mark.servers
def test_children_forked_under_load_submit_at_once(
    backend_environment: dict[str, str], tmp_path: Path
) -> None:
    _run(FORKS_UNDER_LOAD, backend_environment, tmp_path)


@pytest.mark.servers
def test_a_stop_ends_the_waits_of_other_threads(
    backend_environment: dict[str, str], tmp_path: Path
) -> None:
    _run(STOPPED_BENEATH, backend_environment, tmp_path)
