"""Pytest plugin: real servers for tests. A missing server fails the test; nothing is skipped."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from devtools.prove_azure.names import own_name, own_namespace
from devtools.servers import (
    PostgresServer,
    RabbitMQServer,
    StorageServer,
    choose_own_postgres,
    choose_own_rabbitmq,
    choose_own_storage,
    choose_postgres,
    choose_rabbitmq,
    choose_storage,
)
from devtools.servers.choice import servers_of
from devtools.servers.file_lock import file_lock
from jobfleet_backends.postgres.migrations import migrate

_FOLDER_VARIABLE = "PYTEST_SERVERS_FOLDER"


def pytest_configure(config: pytest.Config) -> None:
    if _is_first_process(config):
        folder = tempfile.mkdtemp(prefix="jobfleet-servers-")
        Path(folder).chmod(0o711)  # PostgreSQL runs as another user where the tests run as root
        os.environ[_FOLDER_VARIABLE] = folder


def pytest_unconfigure(config: pytest.Config) -> None:
    if _is_first_process(config):
        folder = Path(os.environ.pop(_FOLDER_VARIABLE))
        for server in servers_of(folder):
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def rabbitmq() -> RabbitMQServer:
    """One RabbitMQ for all tests and all pytest-xdist workers; use a `namespace` of your own."""
    folder = _servers_folder()
    with file_lock(folder / "rabbitmq.lock"):
        server = choose_rabbitmq(folder)
        server.start()
    return server


@pytest.fixture(scope="session")
def azurite() -> StorageServer:
    """One Azurite for all tests and all pytest-xdist workers; use a `table_prefix` of your own."""
    folder = _servers_folder()
    with file_lock(folder / "azurite.lock"):
        server = choose_storage(folder)
        server.start()
    return server


@pytest.fixture(scope="session")
def postgres() -> PostgresServer:
    """One PostgreSQL for all tests and all pytest-xdist workers; use a schema of your own."""
    folder = _servers_folder()
    with file_lock(folder / "postgres.lock"):
        server = choose_postgres(folder, durable=False)
        server.start()
    return server


@pytest.fixture
def own_rabbitmq(tmp_path: Path) -> Iterator[RabbitMQServer]:
    """A RabbitMQ of this test's own, to kill, restart and throttle; takes some six seconds."""
    server = choose_own_rabbitmq(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_azurite(tmp_path: Path) -> Iterator[StorageServer]:
    """An Azurite of this test's own, to kill and restart; takes some two seconds."""
    server = choose_own_storage(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A durable PostgreSQL of this test's own, to kill and restart; takes some two seconds."""
    folder = Path(tempfile.mkdtemp(prefix="jobfleet-postgres-"))
    folder.chmod(0o711)  # the server runs as another user where the tests run as root
    server = choose_own_postgres(folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def namespace() -> str:
    """A value for JOBFLEET_NAMESPACE that no other test has."""
    return own_namespace("test")


@pytest.fixture
def table_prefix() -> str:
    """A value for JOBFLEET_AUDIT_TABLE that no other test has."""
    return f"Test{own_name()}"


@pytest.fixture(scope="session")
def _schema_of_this_process(postgres: PostgresServer) -> str:
    """Making a schema takes as long as ten tests of a port: the tests of a process share one."""
    schema = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres.url, autocommit=True) as session:
        migrate(session, schema)
    return schema


@pytest.fixture
def postgres_schema(postgres: PostgresServer, _schema_of_this_process: str) -> str:
    """An empty schema that no other test uses meanwhile."""
    schema = _schema_of_this_process
    with psycopg.connect(postgres.url, autocommit=True) as session:
        session.execute("SET session_replication_role = replica")  # no trigger runs
        tables = session.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (schema,))
        for (table,) in tables.fetchall():
            if table != "meta":
                session.execute(f'DELETE FROM "{schema}"."{table}"'.encode())  # noqa: S608
    return schema


def _backends(shown_on: str) -> pytest.MarkDecorator:
    rest = {"embedded", "azure"} - {shown_on}
    params = [pytest.param(name, marks=pytest.mark.full) for name in sorted(rest)]
    params += [pytest.param(shown_on), pytest.param("postgres", marks=pytest.mark.chaos)]
    return pytest.mark.parametrize("backend_environment", params, indirect=True)


ON_EMBEDDED, ON_AZURE = _backends("embedded"), _backends("azure")
"""Whole processes of one backend show it in ``make test``, and those of the others elsewhere."""


@pytest.fixture(params=["embedded", "azure", pytest.param("postgres", marks=[pytest.mark.chaos])])
def backend_environment(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Variables that name the backend, on real servers.

    What is tested on whole processes of three backends would take too long for ``make test``: of
    PostgreSQL it runs ``tests/system/test_postgres_fleet.py``, and ``make chaos`` runs the rest.
    """
    if request.param == "embedded":
        return {"JOBFLEET_BACKEND": "embedded", "JOBFLEET_DATA_DIR": str(tmp_path / "data")}
    if request.param == "postgres":
        return {
            "JOBFLEET_BACKEND": "postgres",
            "JOBFLEET_POSTGRES_URL": request.getfixturevalue("postgres").url,
            "JOBFLEET_POSTGRES_SCHEMA": request.getfixturevalue("postgres_schema"),
        }
    prefix = request.getfixturevalue("table_prefix")
    return {
        "JOBFLEET_BACKEND": "azure",
        "JOBFLEET_RABBITMQ_URL": request.getfixturevalue("rabbitmq").url,
        "JOBFLEET_STORAGE_CONNECTION_STRING": request.getfixturevalue("azurite").connection_string,
        "JOBFLEET_NAMESPACE": request.getfixturevalue("namespace"),
        "JOBFLEET_AUDIT_TABLE": prefix,
        "JOBFLEET_LOCK_CONTAINER": prefix.lower(),
    }


def _is_first_process(config: pytest.Config) -> bool:
    """False in a pytest-xdist worker, which inherits the first process's environment."""
    return not hasattr(config, "workerinput")


def _servers_folder() -> Path:
    return Path(os.environ[_FOLDER_VARIABLE])
