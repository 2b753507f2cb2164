from pathlib import Path

import pytest

from devtools.servers import (
    AzuriteServer,
    PostgresCluster,
    RabbitMQNode,
    ServerError,
    ServerMissingError,
    ServerNotOursError,
    choice,
    choose_own_rabbitmq,
    choose_postgres,
    choose_rabbitmq,
    choose_storage,
)
from devtools.servers.composed_server import ComposedRabbitMQ, compose_command

_NAMES = (
    "JOBFLEET_RABBITMQ_URL",
    "RABBITMQ_URL",
    "AMQP_URL",
    "JOBFLEET_STORAGE_CONNECTION_STRING",
    "AZURE_STORAGE_CONNECTION_STRING",
    "JOBFLEET_POSTGRES_URL",
)
_NOBODY = "amqp://guest:hidden@127.0.0.1:1/"


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(choice, "compose_command", lambda: None)
    monkeypatch.setattr(RabbitMQNode, "is_installed", staticmethod(lambda: False))
    monkeypatch.setattr(PostgresCluster, "is_installed", staticmethod(lambda: False))
    monkeypatch.setattr(AzuriteServer, "is_installed", staticmethod(lambda: False))


@pytest.mark.parametrize("name", _NAMES[:3])
def test_a_server_named_in_the_environment_comes_first(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(name, _NOBODY)
    monkeypatch.setattr(choice, "compose_command", lambda: ["docker", "compose"])
    assert choose_rabbitmq(tmp_path).url == _NOBODY


def test_a_named_server_that_does_not_answer_is_an_error_without_its_password(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AMQP_URL", _NOBODY)
    with pytest.raises(ServerError, match="AMQP_URL does not answer") as refused:
        choose_rabbitmq(tmp_path).start()
    assert "hidden" not in str(refused.value)


def test_a_named_postgres_is_used_and_its_password_not_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = "postgresql://a:hidden@127.0.0.1:1/b"
    monkeypatch.setenv("JOBFLEET_POSTGRES_URL", url)
    server = choose_postgres(tmp_path)
    assert server.url == url
    with pytest.raises(ServerError, match="JOBFLEET_POSTGRES_URL does not answer") as refused:
        server.start()
    assert "hidden" not in str(refused.value)


def test_a_named_server_is_never_harmed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RABBITMQ_URL", _NOBODY)
    server = choose_rabbitmq(tmp_path)
    server.stop()
    for harm in (server.kill, server.restart, lambda: server.set_memory_watermark(0.1)):
        with pytest.raises(ServerNotOursError):
            harm()


def test_docker_compose_comes_before_local_binaries(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(choice, "compose_command", lambda: ["docker", "compose"])
    monkeypatch.setattr(RabbitMQNode, "is_installed", staticmethod(lambda: True))
    assert isinstance(choose_rabbitmq(tmp_path), ComposedRabbitMQ)
    assert isinstance(choose_own_rabbitmq(tmp_path), RabbitMQNode)


def test_a_machine_with_nothing_tells_the_exact_commands(tmp_path: Path) -> None:
    with pytest.raises(ServerMissingError, match="apt-get install rabbitmq-server"):
        choose_rabbitmq(tmp_path)
    with pytest.raises(ServerMissingError, match="npm ci"):
        choose_storage(tmp_path)
    with pytest.raises(ServerMissingError, match="apt-get install postgresql"):
        choose_postgres(tmp_path)


@pytest.mark.parametrize(
    ("works", "expected"),
    [
        ({"docker info", "docker compose version"}, ["docker", "compose"]),
        ({"docker info", "docker-compose version"}, ["docker-compose"]),
        ({"docker compose version"}, None),
        ({"docker info"}, None),
    ],
)
def test_compose_counts_only_with_an_engine_that_answers(
    works: set[str], expected: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    assert compose_command(run=lambda command: " ".join(command) in works) == expected
