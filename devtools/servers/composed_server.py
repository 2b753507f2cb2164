"""Servers from docker-compose.yml, where a Docker engine answers."""

import shutil
import subprocess
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path

from devtools.servers.emulator_account import connection_string
from devtools.servers.errors import ServerError
from devtools.servers.kinds import (
    DevelopmentServer,
    PostgresServer,
    RabbitMQServer,
    StorageServer,
)
from devtools.servers.polling import wait_until
from devtools.servers.probes import postgres_answers, rabbitmq_accepts_login, storage_answers

_FILE = Path(__file__).parents[2] / "docker-compose.yml"
_ENGINE_SECONDS = 5
_START_SECONDS = 180  # an image may have to be fetched first


class ComposedServer(DevelopmentServer):
    """One service of the file, at the port that the file publishes."""

    service: str

    def __init__(self, *, compose: list[str]) -> None:
        self._compose = compose

    @property
    def origin(self) -> str:
        return f"service {self.service} of docker-compose.yml"

    def start(self) -> None:
        self._run("up", "--detach", "--no-deps", self.service)
        wait_until(f"an answer of {self.origin}", self._serves, timeout_seconds=_START_SECONDS)

    def stop(self) -> None:
        self._run("stop", self.service)

    def kill(self) -> None:
        self._run("kill", self.service)

    @abstractmethod
    def _serves(self) -> bool:
        """Whether the server behind the published port answers."""

    def _run(self, *arguments: str) -> str:
        command = [*self._compose, "--file", str(_FILE), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            message = f"{' '.join(command)} failed: {done.stderr}"
            raise ServerError(message)
        return done.stdout


class ComposedRabbitMQ(ComposedServer, RabbitMQServer):
    service = "rabbitmq"

    @property
    def address(self) -> str:
        return "amqp://guest:guest@127.0.0.1:5672/"

    def control(self, *arguments: str) -> str:
        return self._run("exec", "-T", self.service, "rabbitmqctl", "--quiet", *arguments)

    def _serves(self) -> bool:
        return rabbitmq_accepts_login(self.address)


class ComposedAzurite(ComposedServer, StorageServer):
    service = "azurite"

    @property
    def address(self) -> str:
        return connection_string(blob=10_000, queue=10_001, table=10_002)

    def _serves(self) -> bool:
        return storage_answers(self.address)


class ComposedPostgres(ComposedServer, PostgresServer):
    service = "postgres"

    @property
    def address(self) -> str:
        return "postgresql://jobfleet:jobfleet@127.0.0.1:5432/jobfleet"

    def _serves(self) -> bool:
        return postgres_answers(self.address)


def compose_command(*, run: Callable[[list[str]], bool] | None = None) -> list[str] | None:
    """Compose v2 or Debian's `docker-compose`; nothing without an engine that answers."""
    succeeds = run or _succeeds
    if shutil.which("docker") is None or not succeeds(["docker", "info"]):
        return None
    candidates = (["docker", "compose"], ["docker-compose"])
    return next((command for command in candidates if succeeds([*command, "version"])), None)


def _succeeds(command: list[str]) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, timeout=_ENGINE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
