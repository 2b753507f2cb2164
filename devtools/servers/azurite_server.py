"""A private Azurite: blobs and tables in a folder, on three ports of its own."""

import os
import shutil
from pathlib import Path

from devtools.servers.detached_process import DetachedProcess
from devtools.servers.emulator_account import connection_string
from devtools.servers.errors import ServerError
from devtools.servers.kinds import StorageServer
from devtools.servers.polling import wait_until
from devtools.servers.ports import reserved_ports
from devtools.servers.probes import storage_answers

_INSTALLED_BY_NPM = Path(__file__).parents[2] / "node_modules" / ".bin"
_PORT_NAMES = ("blob", "queue", "table")
_START_SECONDS = 60


class AzuriteServer(StorageServer):
    """Starts, stops and kills one emulator; the folder keeps its ports and data between starts."""

    def __init__(self, *, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder.resolve()
        self._ports = reserved_ports(self._folder / "ports.json", _PORT_NAMES)
        self._server = DetachedProcess(name="azurite", folder=self._folder)

    @staticmethod
    def is_installed() -> bool:
        return _program() is not None and shutil.which("node") is not None

    @property
    def address(self) -> str:
        return connection_string(**self._ports)

    @property
    def origin(self) -> str:
        return f"private Azurite on port {self._ports['blob']}, folder {self._folder}"

    @property
    def is_running(self) -> bool:
        return self._server.is_running

    @property
    def process_id(self) -> int | None:
        return self._server.process_id

    def start(self) -> None:
        if not self.is_running:
            self._server.start(self._command(), dict(os.environ))
        wait_until("an answer of Azurite", self._is_ready, timeout_seconds=_START_SECONDS)

    def stop(self) -> None:
        self._server.stop()

    def kill(self) -> None:
        self._server.kill()

    def _command(self) -> list[str]:
        program = _program()
        if program is None:
            message = "azurite is not installed"
            raise ServerError(message)
        # A folder and not memory: the clean-up in memory freezes all services for minutes once
        # some thousand blobs have come and gone.
        options = ["--location", str(self._folder / "data")]
        for name, port in self._ports.items():
            options += [f"--{name}Port", str(port)]
        return [program, *options, "--skipApiVersionCheck", "--disableTelemetry", "--silent"]

    def _is_ready(self) -> bool:
        if not self.is_running:
            message = f"Azurite ended while starting:\n{self._server.last_output()}"
            raise ServerError(message)
        return storage_answers(self.address)


def _program() -> str | None:
    return shutil.which("azurite", path=str(_INSTALLED_BY_NPM)) or shutil.which("azurite")
