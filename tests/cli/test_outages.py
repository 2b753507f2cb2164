"""Commands wait through outages; what was accepted is printed at once, and the end says why."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from jobfleet_backends.settings import Settings
from jobfleet_backends.sqlite.backend import open_embedded
from jobfleet_cli import patience as patience_module
from jobfleet_cli import session as session_module
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.patience import Patience, patient
from jobfleet_cli.session import Session, _opened
from jobfleet_cli.submission_run import SubmissionRun
from jobfleet_cli.trail_export import TrailExport
from jobfleet_cli.trail_heads import TrailHeads
from jobfleet_cli.trail_verification import TrailVerification
from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_contracts.event import Event
from jobfleet_contracts.job import JobRequest
from tests.cli.conftest import Cli, heed_ctrl_c


@contextmanager
def outage(folder: Path) -> Iterator[None]:
    """Nobody can write into the database meanwhile, as beside a process that was stopped."""
    with closing(sqlite3.connect(folder / "jobfleet.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


class Process:
    """A command whose output goes to files, so that a test can look while it runs."""

    def __init__(self, cli: Cli, *words: str) -> None:
        self._out, self._err = cli.folder / "out", cli.folder / "err"
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jobfleet_cli", *words],
                cwd=cli.folder,
                env=cli.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
                preexec_fn=heed_ctrl_c,  # noqa: PLW1509 - before any thread of the child
            )

    @property
    def out(self) -> list[str]:
        return self._out.read_text().splitlines()

    @property
    def err(self) -> list[str]:
        return self._err.read_text().splitlines()


@pytest.fixture
def start(cli: Cli) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def begin(*words: str) -> Process:
        started.append(Process(cli, *words))
        return started[-1]

    yield begin
    for each in started:
        if each.process.poll() is None:
            os.killpg(each.process.pid, signal.SIGKILL)
            each.process.wait()


STEPS = ("publish", "--type", "demo.steps", "--payload")


def test_wait_goes_on_through_an_outage_of_nine_seconds(
    cli: Cli, start: Callable[..., Process], until: Callable[..., None]
) -> None:
    run = start(*STEPS, '{"steps":1,"stepSeconds":0}', "--wait")
    until(lambda: run.err, "the id")
    job, state = run.err[0].split()
    assert state == "queued"
    time.sleep(4)  # the first look at the servers works
    with outage(cli.folder / ".jobfleet"):
        time.sleep(9)  # the length of the outage
    cli.start("worker")
    assert run.process.wait(90) == 0, run.err
    assert run.out == [f"{job} completed"]


def test_each_of_many_jobs_is_accepted_once_across_an_outage(
    cli: Cli, start: Callable[..., Process], until: Callable[..., None]
) -> None:
    run = start("publish", "--type", "a", "--count", "3000", "--json")
    until(lambda: run.out, "the first id")
    with outage(cli.folder / ".jobfleet"):
        time.sleep(10)  # the length of the outage
    assert run.process.wait(120) == 0, run.err
    ids = [orjson.loads(line)["jobId"] for line in run.out]
    assert len(ids) == len(set(ids)) == 3000
    answer = cli.run("audit", "verify", "--json")
    assert orjson.loads(answer.stdout.splitlines()[-1])["jobs"] == 3000


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGTERM])
def test_an_interrupted_wait_has_said_the_id_and_how_to_look(
    cli: Cli, start: Callable[..., Process], until: Callable[..., None], number: signal.Signals
) -> None:
    run = start("publish", "--type", "a", "--wait")
    until(lambda: run.err, "the id")
    job = run.err[0].split()[0]
    run.process.send_signal(number)
    assert run.process.wait(60) > 0
    assert f"jobfleet jobs show {job}" in "\n".join(run.err)
    assert "Traceback" not in "\n".join(run.err)
    assert cli.run("jobs", "show", job).returncode == 0


def test_wait_with_json_keeps_one_line_for_each_job_on_standard_output(cli: Cli) -> None:
    cli.start("worker")
    answer = cli.run(
        "publish",
        "--type",
        "demo.steps",
        "--payload",
        '{"steps":2,"stepSeconds":0}',
        "--wait",
        "--json",
    )
    [line] = map(orjson.loads, answer.stdout.splitlines())
    accepted = orjson.loads(answer.stderr.splitlines()[0])
    assert line == {
        "jobId": accepted["jobId"],
        "state": "completed",
        "result": {"steps": 2},
        "error": None,
    }
    assert accepted["state"] == "queued"


def test_progress_of_a_job_is_told_while_it_is_waited_for(cli: Cli) -> None:
    cli.start("worker")
    answer = cli.run(
        "publish", "--type", "demo.steps", "--payload", '{"steps":3,"stepSeconds":1}', "--wait"
    )
    assert answer.returncode == 0, answer.stderr
    assert "Step 2" in answer.stderr


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "OUTAGE_SECONDS", 2.0)
    monkeypatch.setattr(patience_module, "OUTAGE_SECONDS", 2.0)
    monkeypatch.setattr(session_module, "LOOK_SECONDS", 0.2)


@pytest.mark.usefixtures("impatient")
async def test_beyond_the_limit_it_names_address_and_remedy_and_has_printed_what_was_accepted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path)
    jobs = [JobRequest.parse({"type": "a"}) for _ in range(5)]

    async def cut_off(session: Session) -> ExitCode:
        await SubmissionRun(jobs=jobs[:2], idempotency_key=None, wait=False, as_json=False).run(
            session
        )
        with outage(tmp_path):
            return await SubmissionRun(
                jobs=jobs[2:], idempotency_key=None, wait=False, as_json=False
            ).run(session)

    with pytest.raises(
        BackendUnavailable,
        match=f"database .*{tmp_path}/jobfleet.db .*; find the one|cannot be reached.*see",
    ):
        await _opened(settings, cut_off)
    shown = capsys.readouterr()
    accepted = [line for line in shown.out.splitlines() if line.endswith(" queued")]
    assert accepted == [f"{job.job_id} queued" for job in jobs[:2]]
    assert "3 of 3 jobs without an answer" in shown.err


class Failing:
    """A real trail whose scan breaks off after each history, so many times."""

    def __init__(self, trail: object, times: int) -> None:
        self._trail, self.left = trail, times

    def __getattr__(self, name: str) -> object:
        return getattr(self._trail, name)

    async def scan(self) -> AsyncIterator[Sequence[Event]]:
        async for history in self._trail.scan():  # type: ignore[attr-defined]
            yield history
            if self.left:
                self.left -= 1
                raise BackendUnavailable("away")


async def test_a_scan_goes_on_behind_the_last_history_after_an_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jobfleet_backends.system_clock import SystemClock
    from jobfleet_publisher import Publisher

    monkeypatch.setattr(patience_module, "PAUSE_SECONDS", 0.01)
    settings = Settings(_env_file=None, data_dir=tmp_path)
    backend = await open_embedded(settings)
    publisher = Publisher(backend=backend, clock=SystemClock(), defaults=settings.job_defaults)
    jobs = [(await publisher.submit("a")).job_id for _ in range(5)]
    broken = replace(backend, trail=Failing(backend.trail, 7))  # type: ignore[arg-type]
    found = [history[0].job_id async for history in patient(broken, Patience()).trail.scan()]
    assert found == sorted(jobs)
    await backend.close()


@pytest.mark.parametrize("command", ["verify", "export", "heads"])
async def test_a_scan_of_the_whole_trail_ends_as_without_an_outage(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    monkeypatch.setattr(patience_module, "PAUSE_SECONDS", 0.01)
    settings = Settings(_env_file=None, data_dir=tmp_path)
    jobs = [JobRequest.parse({"type": "a"}) for _ in range(5)]
    await _opened(
        settings, SubmissionRun(jobs=jobs, idempotency_key=None, wait=False, as_json=True).run
    )
    capsys.readouterr()
    failing: list[Failing] = []

    async def open_with_outages(settings: Settings) -> object:
        backend = await open_embedded(settings)
        failing.append(Failing(backend.trail, 3))
        return replace(backend, trail=failing[0])  # type: ignore[arg-type]

    monkeypatch.setattr(session_module, "open_backend", open_with_outages)
    out = tmp_path / "out"
    run = {
        "verify": TrailVerification(
            job_id=None, count_drift=False, fetch_data=True, heads=None, as_json=True
        ).run,
        "export": TrailExport(job_id=None, out=out, raw=False).run,
        "heads": TrailHeads(out=out).run,
    }[command]
    assert await _opened(settings, run) == ExitCode.DONE
    assert failing[0].left == 0
    if command == "verify":
        assert orjson.loads(capsys.readouterr().out.splitlines()[-1])["jobs"] == 5
    else:
        found = [orjson.loads(line)["jobId"] for line in out.read_bytes().splitlines()]
        assert found == sorted(job.job_id for job in jobs)


async def test_a_server_that_never_answered_is_not_waited_for_long() -> None:
    async def away() -> None:
        raise BackendUnavailable("away")

    began = asyncio.get_running_loop().time()
    with pytest.raises(BackendUnavailable):
        await Patience().ask(away)
    assert asyncio.get_running_loop().time() - began < 30
