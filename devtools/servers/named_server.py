"""Servers that the environment names: checked, used, and never stopped or harmed by us."""

import os
from collections.abc import Callable
from typing import NoReturn

from devtools.servers.errors import ServerError, ServerNotOursError
from devtools.servers.kinds import (
    DevelopmentServer,
    PostgresServer,
    RabbitMQServer,
    StorageServer,
)
from devtools.servers.probes import postgres_answers, rabbitmq_accepts_login, storage_answers

_RABBITMQ_VARIABLES = ("JOBFLEET_RABBITMQ_URL", "RABBITMQ_URL", "AMQP_URL")
_STORAGE_VARIABLES = ("JOBFLEET_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_CONNECTION_STRING")


class NamedServer(DevelopmentServer):
    def __init__(self, *, named_by: str, address: str, serves: Callable[[str], bool]) -> None:
        self._named_by = named_by
        self._address = address
        self._serves = serves

    @property
    def address(self) -> str:
        return self._address

    @property
    def origin(self) -> str:
        return f"the server named in {self._named_by}"

    def start(self) -> None:
        if not self._serves(self._address):
            message = f"{self.origin} does not answer; start it, or unset {self._named_by}"
            raise ServerError(message)

    def stop(self) -> None:
        """Leaves it running."""

    def kill(self) -> None:
        self._refuse("kill")

    def restart(self) -> None:
        self._refuse("restart")

    def _refuse(self, action: str) -> NoReturn:
        message = f"{action}: refused, {self.origin} is not ours"
        raise ServerNotOursError(message)


class NamedRabbitMQ(NamedServer, RabbitMQServer):
    def control(self, *arguments: str) -> str:
        self._refuse(f"rabbitmqctl {arguments[0]}")


class NamedStorage(NamedServer, StorageServer):
    """A storage account, or an emulator, that the environment names."""


class NamedPostgres(NamedServer, PostgresServer):
    """A server that the environment names; tests use schemas of their own in its database."""


def named_rabbitmq() -> NamedRabbitMQ | None:
    named_by = _first_set(_RABBITMQ_VARIABLES)
    if named_by is None:
        return None
    address = os.environ[named_by]
    return NamedRabbitMQ(named_by=named_by, address=address, serves=rabbitmq_accepts_login)


def named_storage() -> NamedStorage | None:
    named_by = _first_set(_STORAGE_VARIABLES)
    if named_by is None:
        return None
    address = os.environ[named_by]
    return NamedStorage(named_by=named_by, address=address, serves=storage_answers)


def named_postgres() -> NamedPostgres | None:
    named_by = _first_set((PostgresServer.variable,))
    if named_by is None:
        return None
    address = os.environ[named_by]
    return NamedPostgres(named_by=named_by, address=address, serves=postgres_answers)


def _first_set(names: tuple[str, ...]) -> str | None:
    return next((name for name in names if os.environ.get(name)), None)
