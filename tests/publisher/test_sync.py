"""The publisher for code without an event loop."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jobfleet_contracts.errors import SettingsError
from jobfleet_contracts.state import State
from jobfleet_publisher.sync import Publisher


def test_one_publisher_serves_many_threads(tmp_path: Path) -> None:
    with Publisher.from_env(data_dir=tmp_path) as publisher, ThreadPoolExecutor(8) as threads:
        jobs = list(threads.map(lambda n: publisher.submit("echo", n), range(40)))
        assert {job.state() for job in jobs} == {State.QUEUED}
    assert len({job.job_id for job in jobs}) == 40


def test_wait_and_cancel_block_like_the_async_ones(tmp_path: Path) -> None:
    with Publisher.from_env(data_dir=tmp_path) as publisher:
        job = publisher.submit("echo")
        with pytest.raises(TimeoutError):
            job.wait(timeout=0.05)
        assert job.cancel() is State.CANCELLED
        assert job.wait(timeout=5).state is State.CANCELLED


def test_after_the_block_no_thread_is_left_and_a_submit_says_so(tmp_path: Path) -> None:
    with Publisher.from_env(data_dir=tmp_path) as publisher:
        publisher.submit("echo")
    assert "jobfleet-publisher" not in [thread.name for thread in threading.enumerate()]
    with pytest.raises(RuntimeError, match="not started"):
        publisher.submit("echo")


def test_a_backend_that_cannot_be_opened_leaves_no_thread(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError):
        Publisher.from_env(data_dir=tmp_path / "file").start()
    assert "jobfleet-publisher" not in [thread.name for thread in threading.enumerate()]


def test_a_job_is_found_by_its_id(tmp_path: Path) -> None:
    with Publisher.from_env(data_dir=tmp_path) as publisher:
        submitted = publisher.submit("echo")
        found = publisher.find(submitted.job_id)
        assert found is not None
        assert found.state is publisher.job(submitted.job_id).state() is State.QUEUED
