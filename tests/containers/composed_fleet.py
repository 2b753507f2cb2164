"""The fleet of docker-compose.yml, in a project of its own, and what a test does to it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from tests.polling import eventually

ROOT = Path(__file__).parents[2]
DASHBOARD = "http://127.0.0.1:8000"
OURS = ("dashboard", "worker")
_PROJECT = "jobfleet-test"
_ENDED = ("completed", "failed", "cancelled", "timedOut")


class ComposedFleet:
    """Runs Compose as the documentation says, in a copy of what a build is sent.

    Args:
        compose: the command, as ``docker compose``.
        folder: an empty one, for the copy.
    """

    def __init__(self, compose: Sequence[str], folder: Path) -> None:
        self.folder = folder
        self._compose = [*compose, "--project-name", _PROJECT]
        sent = (ROOT / ".dockerignore").read_text().split()
        names = [line[1:] for line in sent if line.startswith("!")]
        for pattern in [*names, ".dockerignore", "Dockerfile", "docker-compose.yml"]:
            for source in ROOT.glob(pattern):
                _copy(source, folder / source.name)

    def compose(self, *arguments: str) -> str:
        """Run Compose in the folder; its files there are the ones it takes by itself."""
        return self.run(*self._compose, *arguments)

    def run(self, *command: str) -> str:
        """Run a command in the folder and return what it prints."""
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (
            f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
        )
        return done.stdout

    def up(self, *, workers: int = 2) -> None:
        """Build, start what is missing, and end surplus workers."""
        self.compose("up", "--build", "--detach", "--scale", f"worker={workers}")

    def down(self, *options: str) -> None:
        self.compose("down", *options)

    def containers(self, service: str) -> list[dict[str, Any]]:
        """Return what the engine tells of a service's containers, ended ones too."""
        labels = {"project": _PROJECT, "service": service}
        filters = [
            f"--filter=label=com.docker.compose.{key}={value}" for key, value in labels.items()
        ]
        ids = self.run("docker", "ps", "--all", "--quiet", *filters).split()
        return list(json.loads(self.run("docker", "inspect", *ids))) if ids else []

    async def until_healthy(self, *services: str) -> None:
        """Wait until each container of the services says that it is healthy."""

        async def all_healthy() -> bool:
            held = [each["State"] for service in services for each in self.containers(service)]
            return bool(held) and all(
                state["Running"] and state.get("Health", {}).get("Status") == "healthy"
                for state in held
            )

        await eventually(f"healthy: {', '.join(services)}", all_healthy, seconds=180, every=1)

    async def submit(self, job: Mapping[str, Any], *, number: int = 1) -> list[str]:
        """Submit jobs with one request and return their ids."""
        body = {"jobs": [dict(job)] * number}
        answer = await _request("POST", "/api/jobs/bulk", body)
        return [each["jobId"] for each in answer["items"]]

    async def job(self, job_id: str) -> dict[str, Any]:
        found: dict[str, Any] = await _request("GET", f"/api/jobs/{job_id}")
        return found

    async def states(self, ids: Sequence[str]) -> list[str]:
        return [(await self.job(job_id))["state"] for job_id in ids]

    async def until_ended(self, ids: Sequence[str], *, seconds: float = 180) -> list[str]:
        """Return the states in which the jobs have ended."""
        found: list[str] = []

        async def ended() -> bool:
            found[:] = await self.states(ids)
            return all(state in _ENDED for state in found)

        await eventually(f"the end of {len(ids)} jobs", ended, seconds=seconds, every=1)
        return found

    async def until_running(self, job_id: str) -> str:
        """Return the id of the worker that runs the job."""

        async def runs() -> str | None:
            job = await self.job(job_id)
            return str(job["workerId"]) if job["state"] == "running" else None

        return await eventually(f"job {job_id} runs", runs, seconds=120, every=0.5)

    async def live_workers(self) -> list[dict[str, Any]]:
        listed = (await _request("GET", "/api/workers"))["items"]
        return [each for each in listed if each["alive"] and not each["draining"]]


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


async def _request(method: str, path: str, body: Any = None) -> Any:
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session,
        session.request(method, f"{DASHBOARD}{path}", json=body) as answer,
    ):
        assert answer.status < 300, f"{method} {path}: {answer.status} {await answer.text()}"
        return await answer.json()
