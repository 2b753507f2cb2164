"""A worker inside another program."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobfleet_cli.embedded import EmbeddedWorker
from jobfleet_publisher import Publisher
from jobfleet_worker import handler, on_startup
from jobfleet_worker.handlers.open_hooks import HookFailed


@handler("double")
async def double(number: int) -> int:
    return 2 * number


@on_startup
async def refuses() -> None:
    raise ConnectionError("no route")


async def test_it_runs_jobs_until_its_block_ends(tmp_path: Path) -> None:
    async with EmbeddedWorker(handlers=[double], data_dir=tmp_path) as worker:
        async with Publisher.from_env(data_dir=tmp_path):
            assert await (await double.submit(4)).wait(timeout=30) == 8
        assert b'jobfleet_jobs_completed_total{type="double"} 1.0' in await worker.metrics_text()


async def test_a_hook_that_fails_ends_it_at_once(tmp_path: Path) -> None:
    with pytest.raises(HookFailed, match="no route"):
        async with EmbeddedWorker(handlers=[double, refuses], data_dir=tmp_path):
            raise AssertionError("it has started")


async def test_modules_and_functions_are_not_mixed() -> None:
    with pytest.raises(TypeError, match="not both"):
        EmbeddedWorker(handlers=[double, "tests.worker.typed_handlers"])
    with pytest.raises(RuntimeError, match="not started"):
        await EmbeddedWorker(handlers=[double]).metrics_text()
