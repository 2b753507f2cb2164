"""The fleet in containers, as Compose file and docs/docker-compose.md say: `make test-compose`.

The tests are the chapters of one story and share one fleet. Without an engine they fail and say so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from devtools.servers.composed_server import compose_command
from tests.containers.composed_fleet import OURS, ROOT, ComposedFleet
from tests.polling import eventually

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]

HANDLER = """
from jobfleet_worker import JobContext, handler

@handler("imports.run")
async def run(context: JobContext) -> str:
    return "of the user's image"
"""
FIFTY = 50
SHORT = {"type": "demo.steps", "payload": {"steps": 1, "stepSeconds": 0.1}}
LONG = {"type": "demo.steps", "payload": {"steps": 60, "stepSeconds": 1}}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposedFleet]:
    compose = compose_command()
    if compose is None:
        pytest.fail(
            "no Docker engine with Compose answers: start it, or name it in DOCKER_HOST",
            pytrace=False,
        )
    fleet = ComposedFleet(compose, tmp_path_factory.mktemp("compose"))
    fleet.down("--volumes", "--remove-orphans")
    try:
        fleet.up()
        yield fleet
    finally:
        fleet.down("--volumes", "--remove-orphans", "--rmi=local")


@pytest.fixture(scope="module")
def fifty() -> list[str]:
    """Ids of the jobs of the first chapter, for the last one."""
    return []


async def test_every_service_becomes_healthy(fleet: ComposedFleet) -> None:
    await fleet.until_healthy("rabbitmq", "azurite", *OURS)
    assert len(fleet.containers("worker")) == 2


@pytest.mark.parametrize("service", OURS)
def test_a_container_of_ours_has_no_root_no_writable_files_and_no_build_tools(
    fleet: ComposedFleet, service: str
) -> None:
    inside = ("exec", "-T", service, "sh", "-c")
    assert fleet.compose(*inside, "id -u").strip() == "10001"
    assert fleet.compose(*inside, "touch /home/jobfleet/x || echo refused").strip() == "refused"
    asked = "python -m pip list --format=freeze 2>/dev/null; ls /opt/jobfleet/bin"
    held = fleet.compose(*inside, asked)
    assert not re.search(r"hatchling|\bcc\b|gcc", held)
    labels = fleet.containers(service)[0]["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == f"jobfleet {service}"
    assert {
        f"org.opencontainers.image.{each}" for each in ("source", "licenses", "version")
    } <= set(labels)


async def test_fifty_jobs_complete(fleet: ComposedFleet, fifty: list[str]) -> None:
    fifty += await fleet.submit(SHORT, number=FIFTY)
    assert await fleet.until_ended(fifty) == ["completed"] * FIFTY


async def test_a_job_of_a_killed_worker_is_taken_over(fleet: ComposedFleet) -> None:
    [job_id] = await fleet.submit(LONG)
    worker_id = await fleet.until_running(job_id)
    [host] = [each["host"] for each in await fleet.live_workers() if each["workerId"] == worker_id]
    fleet.run("docker", "kill", host)
    assert await fleet.until_ended([job_id], seconds=300) == ["completed"]
    job = await fleet.job(job_id)
    assert "TakenOver" in [event["status"] for event in job["events"]]
    assert job["workerId"] != worker_id
    fleet.up()


async def test_jobs_go_on_after_a_restart_of_the_broker(fleet: ComposedFleet) -> None:
    before = await fleet.submit(SHORT, number=10)
    fleet.compose("restart", "rabbitmq")
    during = await fleet.submit(SHORT, number=10)
    await fleet.until_healthy("rabbitmq")
    assert await fleet.until_ended([*before, *during]) == ["completed"] * 20


async def test_more_workers_are_as_many_as_asked_for(fleet: ComposedFleet) -> None:
    fleet.up(workers=4)

    async def four() -> bool:
        return len(await fleet.live_workers()) == 4

    await eventually("four live workers", four, seconds=120, every=1)
    fleet.up()


async def test_a_stopped_worker_hands_its_job_back_and_ends_with_0(fleet: ComposedFleet) -> None:
    [job_id] = await fleet.submit(LONG)
    await fleet.until_running(job_id)
    fleet.compose("stop", "worker")
    assert {each["State"]["ExitCode"] for each in fleet.containers("worker")} == {0}
    assert await fleet.states([job_id]) == ["deferred"]
    fleet.up()
    assert await fleet.until_ended([job_id]) == ["completed"]


async def test_jobs_are_kept_over_down_and_up(fleet: ComposedFleet, fifty: list[str]) -> None:
    fleet.down()
    assert not fleet.containers("worker")
    fleet.up()
    await fleet.until_healthy(*OURS)
    assert await fleet.states(fifty) == ["completed"] * FIFTY
    verified = fleet.compose("exec", "-T", "worker", "jobfleet", "audit", "verify")
    assert "no violation" in verified.lower() or "0 violations" in verified, verified


async def test_the_documented_override_runs_the_users_image_and_keeps_it(
    fleet: ComposedFleet,
) -> None:
    imports = fleet.folder / "imports"
    imports.mkdir()
    (imports / "imports.py").write_text(HANDLER)
    (imports / "Dockerfile").write_text(_documented("dockerfile", "imports/Dockerfile"))
    override = fleet.folder / "docker-compose.override.yml"
    override.write_text(_documented("yaml", "docker-compose.override.yml"))
    fleet.run("docker", "build", "--target", "worker", "-t", "jobfleet-worker", ".")
    bare = _image(fleet, "jobfleet-worker")
    for _ in range(2):
        fleet.up()
        users = {each["Image"] for each in fleet.containers("worker")}
        assert users == {_image(fleet, "imports-worker")}
        assert bare not in users
    await fleet.until_healthy(*OURS)
    assert _image(fleet, "jobfleet-worker") == bare
    ids = await fleet.submit({"type": "imports.run"}, number=5)
    assert await fleet.until_ended(ids) == ["completed"] * 5
    assert (await fleet.job(ids[0]))["result"] == "of the user's image"
    fleet.down()
    override.unlink()
    held = fleet.run("docker", "image", "ls", "--format={{.Repository}}").split()
    for name in {"imports-worker", "jobfleet-worker"} & set(held):
        fleet.run("docker", "image", "rm", name)


def _image(fleet: ComposedFleet, name: str) -> str:
    return fleet.run("docker", "image", "inspect", "--format={{.Id}}", name).strip()


def _documented(language: str, name: str) -> str:
    """Return a file that the documentation shows."""
    text = (ROOT / "docs" / "docker-compose.md").read_text()
    [block] = re.findall(rf"```{language}\n# {name}\n(.*?)```", text, re.DOTALL)
    return str(block)
