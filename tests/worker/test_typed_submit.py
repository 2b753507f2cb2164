"""Submits of a decorated handler: checked payload, options of the decorator, typed result."""

import inspect
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from jobfleet_cli.embedded import EmbeddedWorker
from jobfleet_publisher import BodyConflict, InvalidRequest, JobFailed, JobfleetError, Publisher
from jobfleet_publisher.submit_options import JobOptions, SubmitOptions
from jobfleet_publisher.sync import Publisher as SyncPublisher
from jobfleet_worker import handler
from tests.worker.typed_handlers import (
    ImportPayload,
    ImportResult,
    add,
    anything,
    fourfold,
    import_rows,
    nothing,
    thrice,
    twice,
)
from tests.worker.workshop import DEFAULTS, Workshop

ROOT = Path(__file__).parents[2]
CHECKED = ROOT / "tests/worker/checked_submits.py"


@pytest.fixture
async def publisher(workshop: Workshop) -> AsyncIterator[Publisher]:
    async with Publisher(backend=workshop.real, clock=workshop.clock, defaults=DEFAULTS) as found:
        yield found


@pytest.mark.usefixtures("publisher")
async def test_a_result_comes_back_as_what_the_handler_returns(workshop: Workshop) -> None:
    workshop.start_worker(import_rows, queues=("imports",))
    job = await import_rows.submit(ImportPayload(path="a.csv", rows=3), name="import of a")
    assert await job.wait(timeout=30) == ImportResult("a.csv", 3)
    assert (await job.result()).result == {"path": "a.csv", "rows": 3}
    request = await Publisher(
        backend=workshop.real, clock=workshop.clock, defaults=DEFAULTS
    ).find_request(job.job_id)
    assert request is not None
    options = (request.queue, request.max_attempts, request.timeout_seconds, request.job_name)
    assert options == ("imports", 7, 99, "import of a")


@pytest.mark.usefixtures("publisher")
async def test_an_option_of_the_call_counts_before_the_decorators(workshop: Workshop) -> None:
    job = await import_rows.submit(ImportPayload(path="a"), max_attempts=2, queue="others")
    created = (await workshop.history(job.job_id))[0]
    assert (created.after.max_attempts, created.facts.queue) == (2, "others")


@pytest.mark.usefixtures("publisher")
async def test_a_payload_that_does_not_fit_is_refused_before_anything_is_submitted(
    workshop: Workshop,
) -> None:
    payload: Any = {"path": "a", "rows": 0}
    with pytest.raises(
        InvalidRequest, match=r"payload\.rows is refused: Input should be greater"
    ) as refused:
        await import_rows.submit(payload)
    assert refused.value.field == "payload"
    several: Any = [{"path": "a"}, payload]
    with pytest.raises(InvalidRequest, match=r"job 1: payload\.rows"):
        await import_rows.submit_many(several)
    assert [history async for history in workshop.real.trail.scan()] == []


@pytest.mark.usefixtures("publisher")
async def test_many_are_submitted_at_once_with_an_answer_for_each(workshop: Workshop) -> None:
    workshop.start_worker(add)
    jobs = await add.submit_many([[1], [2, 3], []], priority=7)
    assert [await each.wait(30) for each in jobs if not isinstance(each, JobfleetError)] == [
        1,
        5,
        0,
    ]


async def test_members_of_a_group_are_checked_and_their_results_typed(
    workshop: Workshop, publisher: Publisher
) -> None:
    workshop.start_worker(add)
    async with publisher.group("sums") as group:
        member = await add.submit_to(group, [1, 2], priority=7)
        wrong: Any = "a"
        with pytest.raises(InvalidRequest, match="payload"):
            await add.submit_to(group, wrong)
    assert await member.wait(timeout=30) == 3
    assert (await (await group.job()).wait(timeout=30)).unwrap() == {"members": 1}


@pytest.mark.usefixtures("publisher")
async def test_the_same_key_is_the_same_job_and_another_body_a_conflict() -> None:
    first = await add.submit([1], idempotency_key="sum/1")
    again = await add.submit([1], idempotency_key="sum/1")
    assert (first.job_id, first.created, again.created) == (again.job_id, True, False)
    with pytest.raises(BodyConflict):
        await add.submit([2], idempotency_key="sum/1")


@pytest.mark.usefixtures("publisher")
async def test_a_job_that_failed_raises_with_its_result(workshop: Workshop) -> None:
    @handler("typed.broken", max_attempts=1)
    async def broken() -> None:
        raise ValueError("as always")

    workshop.start_worker(broken)
    with pytest.raises(JobFailed, match="ValueError: as always") as failed:
        await (await broken.submit()).wait(timeout=30)
    assert failed.value.result.error is not None


async def test_handlers_submit_through_their_worker(workshop: Workshop) -> None:
    workshop.start_worker(twice, thrice, add, nothing, anything)
    assert (await workshop.run("typed.twice", 4)).data["result"] == 8
    assert (await workshop.run("typed.thrice", 4)).data["result"] == 12


async def test_a_handler_in_a_process_submits_to_its_workers_fleet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBFLEET_DATA_DIR", str(tmp_path))
    async with (
        EmbeddedWorker(handlers=["tests.worker.typed_handlers"]),
        Publisher.from_env(),
    ):
        assert await (await fourfold.submit(3)).wait(timeout=60) == 12


async def test_without_a_publisher_a_submit_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match=r"async with Publisher\.from_env\(\)"):
        await add.submit([1])
    with pytest.raises(RuntimeError, match=r"async with Publisher\.from_env\(\)"):
        await Publisher.from_env().submit("typed.sum", [1])


def test_without_a_loop_one_publisher_is_opened_for_the_process(tmp_path: Path) -> None:
    program = """
from tests.worker.typed_handlers import add
first, second = add.submit_sync([1]), add.submit_sync([2])
print(first.state(), second.created, [each.created for each in add.submit_many_sync([[3]])])
"""
    environment = {"JOBFLEET_DATA_DIR": str(tmp_path), "PATH": "", "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.stdout == "queued True [True]\n", ran.stderr
    assert ran.stderr == ""


def test_all_submits_take_the_same_options() -> None:
    options = set(get_type_hints(SubmitOptions))
    parameters = set(inspect.signature(Publisher.submit).parameters)
    assert parameters - {"self", "type", "payload"} == options
    own = {"idempotency_key", "job_id", "connection", "notify"}
    assert options - set(get_type_hints(JobOptions)) == own
    sync = inspect.signature(SyncPublisher.submit).parameters["options"].annotation
    assert "SubmitOptions" in sync


def refusals() -> set[int]:
    """Return the lines that a type checker must refuse."""
    lines = CHECKED.read_text(encoding="utf-8").splitlines()
    return {number for number, line in enumerate(lines, 1) if "# type: ignore" in line}


def test_mypy_accepts_and_refuses_what_it_should() -> None:
    command = [sys.executable, "-m", "mypy", "--no-error-summary", str(CHECKED)]
    ran = subprocess.run(
        command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=280
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_pyright_accepts_and_refuses_what_it_should(tmp_path: Path) -> None:
    settings = {
        "include": [str(CHECKED)],
        "extraPaths": [str(ROOT)],
        "pythonVersion": "3.11",
        "typeCheckingMode": "strict",
        "enableTypeIgnoreComments": False,
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    checker = [sys.executable, "-m", "basedpyright", "--outputjson", "-p", str(tmp_path)]
    ran = subprocess.run(
        [*checker, "--pythonpath", sys.executable],
        check=False,
        capture_output=True,
        text=True,
        timeout=280,
    )
    found = json.loads(ran.stdout)["generalDiagnostics"]
    lines = {each["range"]["start"]["line"] + 1 for each in found if each["severity"] == "error"}
    assert lines == refusals(), ran.stdout
