"""Third-party jobs: they wait without holding anything, whichever process dies meanwhile."""

import asyncio
import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from jobfleet_cli.third_party import Behaviour, ThirdParty
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import JobQuery
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.lease import job_lock, key_lock
from jobfleet_contracts.state import State
from jobfleet_protocol.actions.signing_keys import SigningKeys
from tests.polling import eventually
from tests.servers import ON_AZURE, ON_EMBEDDED
from tests.system.fleet import LEASE_SECONDS, Fleet, WorkerProcess
from tests.system.verified import assert_verified

SECRET = "a secret that is shared"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class PatientThirdParty(ThirdParty):
    """The mock, holding every callback back until the test lets them go."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.gate = asyncio.Event()
        keys = SigningKeys([SECRET])
        super().__init__(keys=keys, behaviour=Behaviour(delay_seconds=0), say=self.lines.append)

    async def _call_back(self, job_id: str, url: str, deadline: datetime, body: bytes) -> None:
        await self.gate.wait()
        await super()._call_back(job_id, url, deadline, body)


class Parties:
    """Workers, a dashboard that takes callbacks, and the third party."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.dashboard_port, self.port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.patient = PatientThirdParty()
        self._settings = {
            "callback_base_url": f"http://127.0.0.1:{self.dashboard_port}",
            "callback_secrets": SECRET,
            "allow_private_targets": "true",
            "breaker_open_seconds": "1",
        }

    def worker(self, **settings: str) -> WorkerProcess:
        return self.fleet.start_worker(**self._settings, **settings)

    def dashboard(self) -> WorkerProcess:
        command = ("dashboard", "--port", str(self.dashboard_port))
        return self.fleet.start_worker(command=command, **self._settings)

    def third_party(self, *options: str) -> WorkerProcess:
        command = ("mock-third-party", "--port", str(self.port), *options)
        return self.fleet.start_worker(command=command, **self._settings)

    def job(self, **fields: Any) -> JobRequest:
        payload = {"targetUrl": self.url, "payload": {"n": 1}}
        return JobRequest(type="external.call", job_id=new_id(), payload=payload, **fields)

    async def submit(self, **fields: Any) -> str:
        job = self.job(**fields)
        await self.fleet.submit_all([job])
        return job.job_id

    async def until_sent(self, job_id: str) -> Event:
        async def sent() -> Event | None:
            head = await self.fleet.backend.trail.newest(job_id)
            return head if head is not None and head.after.sent else None

        event: Event = await eventually(f"the request of {job_id} to be taken", sent, seconds=120)
        return event


@pytest.fixture
async def parties(fleet: Fleet) -> AsyncIterator[Parties]:
    """A fleet that is told where third parties reach it; the test starts what it needs."""
    found = Parties(fleet)
    yield found
    await found.patient.stop()


async def _counts(fleet: Fleet) -> Counter[str]:
    return Counter({state.value: n for state, n in (await fleet.backend.reader.counts()).items()})


async def _many_wait_and_complete(parties: Parties, count: int) -> None:
    fleet, party = parties.fleet, parties.patient
    await party.start(parties.port)
    worker, dashboard = parties.worker(concurrency="2"), parties.dashboard()
    await fleet.submit_all([parties.job() for _ in range(count)])
    rare = count / 500
    await eventually("all to wait at once", _all_wait(fleet, count), seconds=400, every=rare)
    assert await fleet.backend.locks.leased() <= {"fleet/rescuer"}
    for process in (worker, dashboard):
        process.signal(signal.SIGKILL)
    party.gate.set()
    parties.worker(concurrency="2")
    parties.dashboard()

    async def all_completed() -> bool:
        return (await _counts(fleet))["completed"] == count

    await eventually("all to complete", all_completed, seconds=240, every=rare)
    await party.stop()
    assert Counter(line.partition(" ")[2] for line in party.lines)["200"] <= count
    await assert_verified(fleet.backend)


def _all_wait(fleet: Fleet, count: int) -> Any:
    async def all_wait() -> bool:
        waiting, cursor = 0, None
        while True:
            page = await fleet.backend.reader.open_rows(cursor=cursor)
            waiting += sum(row.state is State.WAITING and row.sent for row in page.items)
            cursor = page.next
            if cursor is None:
                return waiting == count

    return all_wait


@ON_EMBEDDED
@pytest.mark.timeout(300)
async def test_jobs_wait_at_once_on_two_slots_while_worker_and_dashboard_are_killed(
    parties: Parties,
) -> None:
    await _many_wait_and_complete(parties, 100)


@pytest.mark.chaos
@pytest.mark.timeout(900)
async def test_a_thousand_jobs_wait_at_once_on_two_slots(parties: Parties) -> None:
    await _many_wait_and_complete(parties, 1000)


@ON_EMBEDDED
async def test_the_mock_can_be_late_wrong_and_double(parties: Parties) -> None:
    parties.worker()
    parties.dashboard()
    twice = parties.third_party("--delay", "0", "--twice", "--fail", "1", "--submit", "1")
    await eventually("both answers", _has_printed(twice, " 200", 2), seconds=120)
    job_id = (await parties.fleet.backend.reader.jobs(JobQuery())).items[0].facts.job_id
    await parties.fleet.until_ended(job_id)
    await eventually("both answers", _has_printed(twice, f"{job_id} 200", 2), seconds=120)
    history = await parties.fleet.history(job_id)
    assert [e.status for e in history][-1] == "Failed"
    assert history[-1].data["error"]["type"] == "ThirdPartyRefused"
    twice.end()
    wrong = parties.third_party("--delay", "0", "--bad-signature")
    await eventually("the third party to listen", _has_printed(wrong, "Third party: "), seconds=60)
    job_id = await parties.submit(timeout_seconds=3)
    await eventually("the refusal", _has_printed(wrong, f"{job_id} 401"), seconds=120)
    await parties.fleet.until_ended(job_id)
    assert await parties.fleet.state(job_id) is State.TIMED_OUT


@ON_EMBEDDED
async def test_without_a_callback_the_job_times_out_at_its_second_and_a_late_one_is_refused(
    parties: Parties,
) -> None:
    parties.worker()
    parties.dashboard()
    late = parties.third_party("--late")
    await eventually("the third party to listen", _has_printed(late, "Third party: "), seconds=60)
    job_id = await parties.submit(timeout_seconds=4, max_attempts=5)
    await parties.fleet.until_ended(job_id)
    history = await parties.fleet.history(job_id)
    waiting = next(e for e in history if e.status == "Waiting")
    assert [e.status for e in history][-2:] == ["Step 1", "TimedOut"]
    assert waiting.after.due_at is not None
    assert timedelta(0) <= history[-1].occurred_at - waiting.after.due_at < timedelta(seconds=2)
    await eventually("the late callback's answer", _has_printed(late, f"{job_id} 409"), seconds=120)
    assert len(await parties.fleet.history(job_id)) == len(history)


@ON_AZURE
async def test_a_request_whose_sender_died_is_sent_again_with_the_same_key(
    parties: Parties,
) -> None:
    silent = socket.socket()
    silent.bind(("127.0.0.1", parties.port))
    silent.listen()
    first = parties.worker(http_timeout_seconds="60")
    job_id = await parties.submit()

    async def waiting() -> bool:
        return await parties.fleet.state(job_id) is State.WAITING

    await eventually("the job to wait", waiting, seconds=120)
    first.signal(signal.SIGKILL)
    silent.close()
    parties.dashboard()
    parties.third_party("--delay", "0")
    parties.worker()
    await parties.fleet.until_ended(job_id, seconds=LEASE_SECONDS + 120)
    statuses = await parties.fleet.statuses(job_id)
    assert statuses.count("Started") == 1
    assert "TakenOver" in statuses
    assert statuses[-1] == "Completed"
    await assert_verified(parties.fleet.backend)


async def test_while_a_job_waits_others_of_its_lock_key_run(parties: Parties) -> None:
    parties.worker()
    parties.third_party("--delay", "600")
    first, second = parties.job(lock_key="one"), parties.job(lock_key="one")
    await parties.fleet.submit_all([first, second])
    for job in (first, second):
        head = await parties.until_sent(job.job_id)
        assert head.after.lock == job_lock(job.job_id)
        history = await parties.fleet.history(job.job_id)
        started = next(event for event in history if event.status == "Started")
        assert started.after.lock == key_lock("one")
    await assert_verified(parties.fleet.backend)


@ON_EMBEDDED
async def test_an_unsent_request_is_repeated_though_its_lock_key_is_busy(
    parties: Parties,
) -> None:
    parties.worker(breaker_failures="1000")
    job_id = await parties.submit(lock_key="one", retry_delay_seconds=0.2)

    async def refused_twice() -> bool:
        return (await parties.fleet.statuses(job_id)).count("Step 1") >= 2

    await eventually("two tries against nobody", refused_twice, seconds=120)
    busy = await parties.fleet.submit_steps(steps=300, step_seconds=0.2, lock_key="one")
    await parties.fleet.until_running(busy)
    parties.third_party("--delay", "600")
    await parties.until_sent(job_id)
    assert await parties.fleet.state(busy) is State.RUNNING
    await assert_verified(parties.fleet.backend)


@ON_EMBEDDED
async def test_a_worker_that_is_told_to_stop_while_it_sends_leaves_the_job_waiting(
    parties: Parties,
) -> None:
    silent = socket.socket()
    silent.bind(("127.0.0.1", parties.port))
    silent.listen()
    first = parties.worker(http_timeout_seconds="60", drain_seconds="0.2")
    job_id = await parties.submit()

    async def waiting() -> bool:
        return await parties.fleet.state(job_id) is State.WAITING

    await eventually("the job to wait", waiting, seconds=120)
    first.signal(signal.SIGTERM)
    assert first.wait(20) == 0
    silent.close()
    assert await parties.fleet.statuses(job_id) == ["Queued", "Started", "Waiting"]
    assert not await parties.fleet.backend.locks.leased() - {"fleet/rescuer"}
    parties.third_party("--delay", "600")
    parties.worker()
    await parties.until_sent(job_id)


@ON_EMBEDDED
@pytest.mark.parametrize("scope", ["fleet", pytest.param("worker", marks=pytest.mark.full)])
async def test_in_scope_fleet_and_worker_a_waiting_job_rests_on_its_own_lock(
    parties: Parties, scope: str
) -> None:
    """So it keeps nobody from running, and "unsent, and its lock is free" means what it says."""
    worker = parties.worker(lock_scope=scope)
    parties.third_party("--delay", "600")
    jobs = [parties.job() for _ in range(5)]
    await parties.fleet.submit_all(jobs)
    for job in jobs:
        head = await parties.until_sent(job.job_id)
        assert head.after.lock == job_lock(job.job_id)
        locks = [event.after.lock for event in await parties.fleet.history(job.job_id)]
        assert str(locks[1]).startswith(f"{scope}/"), locks
    other = await parties.fleet.submit_steps(steps=1, step_seconds=0)
    await parties.fleet.until_ended(other)
    assert await _waiting(parties.fleet, jobs) == len(jobs)
    if scope == "worker":  # nor does the worker's death cost a job that waits
        worker.signal(signal.SIGKILL)
        parties.worker(lock_scope=scope)
        other = await parties.fleet.submit_steps(steps=1, step_seconds=0)
        await parties.fleet.until_ended(other)
        for job in jobs:
            assert (await parties.fleet.statuses(job.job_id))[-2:] == ["Waiting", "Step 1"]
    await assert_verified(parties.fleet.backend)


async def _waiting(fleet: Fleet, jobs: Sequence[JobRequest]) -> int:
    return sum([await fleet.state(job.job_id) is State.WAITING for job in jobs])


def _has_printed(process: WorkerProcess, line: str, times: int = 1) -> Any:
    async def printed() -> bool:
        return process.log.count(line) >= times

    return printed
