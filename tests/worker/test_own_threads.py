"""The worker goes on while user code has filled the default executor of its loop."""

import asyncio
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from jobfleet_contracts.own_thread import in_own_thread
from jobfleet_worker import JobContext, Run, around_attempt, handler
from jobfleet_worker.handlers.user_thread import in_user_thread
from tests.worker.workshop import Workshop

ROOT = Path(__file__).parents[2]
DEFAULT_EXECUTOR = re.compile(r"run_in_executor\(\s*None|\bto_thread\b")
"""What runs a call in the loop's default executor."""


def test_no_module_runs_its_calls_in_the_default_executor() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for part in ("services/worker", "services/publisher", "shared")
        for path in sorted((ROOT / part).rglob("*.py"))
        for match in DEFAULT_EXECUTOR.finditer(_code_of(path))
    ]
    assert found == []


def _code_of(path: Path) -> str:
    """Return the text of a module without its names in prose."""
    return re.sub(r"``[^`]*``", "", path.read_text())


@contextmanager
def filled_default_executor() -> Iterator[None]:
    """Let the one thread of the default executor wait until the block ends."""
    loop, release = asyncio.get_running_loop(), threading.Event()
    threads = ThreadPoolExecutor(1)
    loop.set_default_executor(threads)
    threads.submit(release.wait)
    try:
        yield
    finally:
        release.set()


class Checked(BaseModel):
    """A payload whose validator is the user's code."""

    name: str

    @field_validator("name")
    @classmethod
    def lower(cls, value: str) -> str:
        return value.lower()


class Kept(dict[str, Any]):
    """No plain value: its copy is made in a thread."""


@handler("raises-much", max_attempts=2, retry_delay=0)
async def raises_much() -> None:
    raise ValueError("x" * 100_000)


@handler("keeps")
async def keeps(context: JobContext) -> None:
    await context.checkpoint(Kept(step="x" * 100_000))


@handler("keyed", lock_key="name")
async def keyed(payload: Checked) -> str:
    return payload.name


@around_attempt
def hook(run: Run) -> Iterator[None]:
    yield


async def test_jobs_go_on_and_the_worker_stops(workshop: Workshop) -> None:
    with filled_default_executor():
        running = workshop.start_worker(raises_much, keeps, keyed, hook)
        assert (await workshop.run("raises-much")).status == "Failed"
        assert (await workshop.run("keeps")).status == "Completed"
        assert (await workshop.run("keyed", {"name": "One"})).status == "Completed"
        await running.stop()


async def test_a_call_raises_what_it_raised_to_its_caller() -> None:
    def refuse() -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await in_own_thread(refuse, name="one")


async def test_the_thread_of_user_code_has_its_name() -> None:
    assert await in_user_thread(lambda: threading.current_thread().name, name="mine") == "mine"
