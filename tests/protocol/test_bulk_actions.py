"""Actions on many jobs: each job is acted on once, whichever process dies, stops or runs beside."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import ActionRefused, BackendUnavailable, NotFound
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.lease import ACTION_LOCKS
from jobfleet_contracts.message import JobDefaults
from jobfleet_protocol.actions import bulk_runner
from jobfleet_protocol.actions.action_journal import ActionJournal
from jobfleet_protocol.actions.action_mark import ActionMark
from jobfleet_protocol.actions.bulk_action import BATCH, BulkAction, BulkActions
from jobfleet_protocol.actions.bulk_runner import BulkRunner
from jobfleet_protocol.actions.write_side import WriteSide
from jobfleet_protocol.reading.job_actions import JobAction
from tests.polling import eventually

DEFAULTS = JobDefaults(3, 1.0, 60.0, 60.0)


@dataclass
class Site:
    """A dashboard's parts over one backend."""

    backend: Backend
    writes: WriteSide
    journal: ActionJournal
    bulk: BulkActions
    runner: BulkRunner

    @classmethod
    def of(cls, backend: Backend) -> Site:
        clock = SystemClock()
        writes = WriteSide.wire(backend=backend, clock=clock, defaults=DEFAULTS)
        journal = ActionJournal(log=backend.control_log, clock=clock)
        bulk = BulkActions(
            log=backend.control_log, payloads=backend.payloads, journal=journal, clock=clock
        )
        runner = BulkRunner(
            actions=bulk,
            journal=journal,
            trail=backend.trail,
            leases=backend.leases,
            writes=writes,
            clock=clock,
        )
        return cls(backend, writes, journal, bulk, runner)

    async def cancelled_jobs(self, count: int) -> list[str]:
        requests = [JobRequest(type="a") for _ in range(count)]
        for request in requests:
            await self.writes.submitter.submit(request)
            await self.writes.canceller.cancel(request.job_id, by="test")
        return [request.job_id for request in requests]

    async def redrive(self, job_ids: Sequence[str]) -> BulkAction:
        return await self.bulk.accept(
            JobAction.REDRIVE, job_ids, by="nightops", reason="again", scope="all"
        )

    async def redrives(self, job_ids: Sequence[str]) -> Counter[int]:
        """How many jobs were redriven how often."""
        counts: list[int] = []
        for job_id in job_ids:
            history = await self.backend.trail.history(job_id)
            counts.append(sum(event.status == "Redriven" for event in history))
        return Counter(counts)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    backend = await open_backend(Settings(data_dir=tmp_path, _env_file=None))
    yield Site.of(backend)
    await backend.close()


async def test_an_action_is_run_once_and_leaves_what_is_under_way(site: Site) -> None:
    job_ids = await site.cancelled_jobs(3)
    asked = await site.redrive([*job_ids, new_id()])
    assert await site.journal.opened() == [asked.action_id]
    await site.runner.run_due()
    await site.runner.run_due()
    ended = await site.bulk.find(asked.action_id)
    assert (ended.status, ended.done, ended.refused) == ("ended", 3, 1)
    assert await site.redrives(job_ids) == {1: 3}
    assert await site.journal.opened() == []
    (event,) = [e for e in await site.backend.trail.history(job_ids[0]) if e.status == "Redriven"]
    assert event.data == {"by": "nightops", "reason": "again", "actionId": asked.action_id}


async def test_an_action_that_another_dashboard_runs_is_left_to_it(site: Site) -> None:
    job_ids = await site.cancelled_jobs(1)
    asked = await site.redrive(job_ids)
    lock = f"{ACTION_LOCKS}{asked.action_id}"
    await site.backend.leases.create(lock)
    await site.backend.leases.acquire(lock, "another's", 60)
    await site.runner.run_due()
    assert await site.redrives(job_ids) == {0: 1}


async def test_the_runner_goes_on_after_storage_in_trouble_and_after_an_error_of_its_own(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_runner, "LOOK_SECONDS", 0.01)
    troubles: list[Exception] = [BackendUnavailable("away"), RuntimeError("our own")]
    opened = site.journal.opened

    async def troubled() -> Sequence[str]:
        if troubles:
            raise troubles.pop()
        return await opened()

    monkeypatch.setattr(site.journal, "opened", troubled)
    job_ids = await site.cancelled_jobs(1)
    await site.redrive(job_ids)
    running = asyncio.create_task(site.runner.run())

    async def done() -> bool:
        return await site.redrives(job_ids) == {1: 1}

    await eventually("the job is redriven", done)
    running.cancel()
    await asyncio.wait([running])


async def test_a_job_that_was_redriven_and_died_again_is_not_redriven_by_a_second_try(
    site: Site,
) -> None:
    (job_id,) = await site.cancelled_jobs(1)
    mark = ActionMark("an action", 2)
    await site.writes.redriver.redrive(job_id, by="a", mark=mark)
    await site.writes.canceller.cancel(job_id, by="b")
    await site.writes.redriver.redrive(job_id, by="a", mark=mark)
    assert await site.redrives([job_id]) == {1: 1}
    await site.writes.redriver.redrive(job_id, by="a", mark=replace(mark, action_id="another"))
    assert await site.redrives([job_id]) == {2: 1}


async def test_two_runners_at_once_act_on_each_job_once(site: Site) -> None:
    job_ids = await site.cancelled_jobs(BATCH + 5)
    asked = await site.redrive(job_ids)
    others = [Site.of(site.backend) for _ in range(3)]
    await asyncio.gather(*(each.runner.run_due() for each in (site, *others)))
    assert (await site.bulk.find(asked.action_id)).status == "ended"
    assert await site.redrives(job_ids) == {1: BATCH + 5}


async def test_an_action_that_is_stopped_leaves_the_rest_as_it_was(site: Site) -> None:
    job_ids = await site.cancelled_jobs(3)
    asked = await site.redrive(job_ids)
    await site.bulk.stop(asked.action_id, by="somebody")
    await site.runner.run_due()
    ended = await site.bulk.find(asked.action_id)
    assert (ended.status, ended.next) == ("stopped", 0)
    assert await site.redrives(job_ids) == {0: 3}
    with pytest.raises(ActionRefused):
        await site.bulk.stop(asked.action_id, by="somebody")
    with pytest.raises(NotFound):
        await site.bulk.find(new_id())


RUNNER = """
import asyncio, sys
from pathlib import Path
from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from tests.protocol.test_bulk_actions import Site

async def main():
    backend = await open_backend(Settings(data_dir=Path(sys.argv[1]), _env_file=None))
    site = Site.of(backend)
    insert = backend.trail.insert
    async def slowly(events):
        await insert(events)
        print(events[0].job_id, flush=True)
        await asyncio.sleep(0.02)
    site.writes.writer._trail.insert = slowly
    while await site.journal.opened():
        await site.runner.run_due()
        await asyncio.sleep(0.05)

asyncio.run(main())
"""


async def test_each_job_is_acted_on_once_however_often_its_runner_is_killed(
    site: Site, tmp_path: Path
) -> None:
    job_ids = await site.cancelled_jobs(2 * BATCH + 7)
    asked = await site.redrive(job_ids)
    for number in range(4):
        _run_and_kill(tmp_path, after=10 + 5 * number)
        await _free(site, asked.action_id)
    assert (await site.bulk.find(asked.action_id)).status == "running"
    await site.runner.run_due()
    ended = await site.bulk.find(asked.action_id)
    assert (ended.status, ended.done, ended.refused) == ("ended", len(job_ids), 0)
    assert await site.redrives(job_ids) == {1: len(job_ids)}


def _run_and_kill(folder: Path, *, after: int) -> None:
    """Start a runner of its own, and kill it once it has changed some jobs."""
    command = [sys.executable, "-c", RUNNER, str(folder)]
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    process = subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    changed = 0
    for line in process.stdout:
        changed += len(line.split()) == 1
        if changed >= after:
            break
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert changed >= after, "the runner ended by itself"


async def _free(site: Site, action_id: str) -> None:
    """Let the dead runner's lease run out at once."""
    lock = f"action/{action_id}"
    database = site.backend.leases._database  # type: ignore[attr-defined]
    await database.write(
        lambda connection: connection.execute(
            "UPDATE locks SET expires = 0 WHERE lock = ?", (lock,)
        )
    )

    async def is_free() -> bool:
        return not await site.backend.leases.is_leased(lock)

    await eventually("the lease has run out", is_free)
