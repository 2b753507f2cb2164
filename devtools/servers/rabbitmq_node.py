"""A private RabbitMQ node: own name, ports, cookie and folders, loopback only, no root needed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from devtools.servers.detached_process import DetachedProcess
from devtools.servers.errors import ServerError
from devtools.servers.kinds import RabbitMQServer
from devtools.servers.polling import wait_until
from devtools.servers.ports import reserved_ports
from devtools.servers.probes import rabbitmq_accepts_login
from devtools.servers.rabbitmq_environment import node_environment, write_configuration

# Debian's command on PATH is a wrapper that switches user; this is the server itself.
_DEBIAN_FOLDER = "/usr/lib/rabbitmq/bin"
_OTHER_FOLDER = "JOBFLEET_TEST_RABBITMQ_FOLDER"
"""Names a folder with the programs of another version."""
_PORT_NAMES = ("amqp", "distribution", "epmd", "tools")
_START_SECONDS = 90
_COOKIE = ".erlang.cookie"


class RabbitMQNode(RabbitMQServer):
    """Starts, stops and kills one node; the folder keeps its ports and data between starts.

    Args:
        joins: a running node; this one becomes a member of its cluster at its first start.
    """

    def __init__(self, *, folder: Path, joins: RabbitMQNode | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder.resolve()
        self._joins = joins
        self._ports = reserved_ports(self._folder / "ports.json", _PORT_NAMES)
        if joins is not None:  # nodes find each other through one epmd, and trust one cookie
            self._ports["epmd"] = joins._ports["epmd"]
            shutil.copy2(joins._folder / _COOKIE, self._folder / _COOKIE)
        self._environment = node_environment(self._folder, self._ports)
        self._epmd = DetachedProcess(name="epmd", folder=self._folder)
        self._server = DetachedProcess(name="rabbitmq", folder=self._folder)

    @staticmethod
    def is_installed() -> bool:
        return _program("epmd") is not None and _program("rabbitmq-server") is not None

    @property
    def address(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self._ports['amqp']}/"

    @property
    def origin(self) -> str:
        return f"private RabbitMQ on port {self._ports['amqp']}, folder {self._folder}"

    @property
    def name(self) -> str:
        """What other nodes call it."""
        return self._environment["RABBITMQ_NODENAME"]

    @property
    def is_running(self) -> bool:
        return self._server.is_running

    @property
    def process_id(self) -> int | None:
        return self._server.process_id

    def start(self) -> None:
        if self._joins is None and not self._epmd.is_running:
            # Started by us and not by Erlang, so that it is stopped together with the node.
            self._epmd.start([_required("epmd"), "-relaxed_command_check"], self._environment)
        if not self.is_running:
            write_configuration(self._folder)
            self._server.start([_required("rabbitmq-server")], self._environment)
        wait_until("a login at RabbitMQ", self._is_ready, timeout_seconds=_START_SECONDS)
        if self._joins is not None and self._joins.name not in self.control("cluster_status"):
            self.control("stop_app")
            self.control("join_cluster", self._joins.name)
            self.control("start_app")
            wait_until("a login at RabbitMQ", self._is_ready, timeout_seconds=_START_SECONDS)

    def stop(self) -> None:
        self._server.stop()
        self._epmd.stop()

    def kill(self) -> None:
        self._server.kill()

    def control(self, *arguments: str) -> str:
        done = subprocess.run(
            [_required("rabbitmqctl"), "--quiet", *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            message = f"rabbitmqctl {arguments[0]} failed: {done.stderr or done.stdout}"
            raise ServerError(message)
        return done.stdout

    def _is_ready(self) -> bool:
        if not self.is_running:
            message = f"RabbitMQ ended while starting:\n{self._server.last_output()}"
            raise ServerError(message)
        return rabbitmq_accepts_login(self.address)


def _program(name: str) -> str | None:
    folder = os.environ.get(_OTHER_FOLDER) or _DEBIAN_FOLDER
    return shutil.which(name, path=folder) or shutil.which(name)


def _required(name: str) -> str:
    program = _program(name)
    if program is None:
        message = f"{name} is not installed"
        raise ServerError(message)
    return program
