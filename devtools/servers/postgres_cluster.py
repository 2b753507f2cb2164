"""A private PostgreSQL: own data folder and port, loopback only, never run as root."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
from pathlib import Path

from devtools.servers.detached_process import DetachedProcess
from devtools.servers.errors import ServerError
from devtools.servers.kinds import PostgresServer
from devtools.servers.polling import wait_until
from devtools.servers.ports import reserved_ports
from devtools.servers.probes import postgres_answers

_DEBIAN_FOLDERS = Path("/usr/lib/postgresql")
_OTHER_FOLDER = "JOBFLEET_TEST_POSTGRES_FOLDER"
"""Folder of another version's programs, which stand in its folder ``bin``."""
_START_SECONDS = 60
_SUPERUSER = "jobfleet"
# Everybody on this machine may connect, as with the other development servers. Members of the
# role "guarded", which a test may make, need their password.
_ACCESS = """\
host all +guarded 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""
_CONFIGURATION = """\
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 300
shared_buffers = 64MB
wal_level = minimal
max_wal_senders = 0
max_wal_size = 256MB
log_timezone = 'UTC'
timezone = 'UTC'
password_encryption = 'scram-sha-256'
"""
_STANDBY_ACCESS = "host replication all 127.0.0.1/32 trust\n"
_STANDBY_CONFIGURATION = "wal_level = replica\nmax_wal_senders = 4\n"
_NOT_DURABLE = "fsync = off\nfull_page_writes = off\n"


class PostgresCluster(PostgresServer):
    """Starts, stops and kills one server; the folder keeps its port and data between starts.

    Args:
        with_standby: whether another server may follow this one.
        follows: the running server whose standby this is.
    """

    def __init__(
        self,
        *,
        folder: Path,
        durable: bool = True,
        with_standby: bool = False,
        follows: PostgresCluster | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder.resolve()
        self._durable = durable
        self._with_standby = with_standby
        self._follows = follows
        self._ports = reserved_ports(self._folder / "ports.json", ("postgres",))
        self._server = DetachedProcess(name="postgres", folder=self._folder)

    @staticmethod
    def is_installed() -> bool:
        return _program("postgres") is not None and _program("initdb") is not None

    @property
    def address(self) -> str:
        return f"postgresql://{_SUPERUSER}@127.0.0.1:{self._ports['postgres']}/postgres"

    @property
    def origin(self) -> str:
        return f"private PostgreSQL on port {self._ports['postgres']}, folder {self._folder}"

    @property
    def is_running(self) -> bool:
        return self._server.is_running

    def start(self) -> None:
        if not self._data.exists():
            self._make_data_folder()
        if not self.is_running:
            program = [_required("postgres"), "-D", str(self._data)]
            self._server.start([*_as_other_user(), *program], _environment())
        wait_until("an answer of PostgreSQL", self._is_ready, timeout_seconds=_START_SECONDS)

    def stop(self) -> None:
        # SIGTERM would wait until the last client has gone.
        self._server.stop(with_signal=signal.SIGINT)

    def kill(self) -> None:
        self._server.kill()

    @property
    def _data(self) -> Path:
        """As root beside all folders that only root may enter: the server is another user."""
        if _other_user() is None or _all_may_enter(self._folder.parent):
            return self._folder / "data"
        return Path(tempfile.gettempdir()) / f"jobfleet-postgres-{self._ports['postgres']}"

    def _make_data_folder(self) -> None:
        """Built beside its place, so that an interrupted start leaves nothing half made."""
        new = self._data.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        if (user := _other_user()) is not None:
            self._folder.chmod(0o711)
            os.chown(new, user.pw_uid, user.pw_gid)
        if self._follows is None:
            program = "initdb"
            options = ["--username", _SUPERUSER, "--encoding=UTF8", "--locale=C.UTF-8"]
            options += ["--no-sync", "--auth=trust"]
        else:
            program = "pg_basebackup"
            options = ["-d", self._follows.address, "-c", "fast", "--write-recovery-conf"]
            options += ["--no-sync"]
        command = [*_as_other_user(), _required(program), "-D", str(new), *options]
        done = subprocess.run(
            command,
            env=_environment(),
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            message = f"{program} failed: {done.stderr}"
            raise ServerError(message)
        with (new / "postgresql.conf").open("a") as file:
            file.write(f"port = {self._ports['postgres']}\n{_CONFIGURATION}")
            file.write("" if self._durable else _NOT_DURABLE)
            replicates = self._with_standby or self._follows is not None
            file.write(_STANDBY_CONFIGURATION if replicates else "")
        access = _ACCESS + (_STANDBY_ACCESS if self._with_standby else "")
        (new / "pg_hba.conf").write_text(access)
        new.rename(self._data)

    def _is_ready(self) -> bool:
        if not self.is_running:
            message = f"PostgreSQL ended while starting:\n{self._server.last_output()}"
            raise ServerError(message)
        return postgres_answers(self.address)


def _environment() -> dict[str, str]:
    """Nothing of the caller's PG variables: they would name another server."""
    kept = {name: os.environ[name] for name in ("PATH", "TZ") if name in os.environ}
    return kept | {"LC_ALL": "C.UTF-8"}


def _other_user() -> pwd.struct_passwd | None:
    """The user that the server runs as where we are root: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    users = {user.pw_name: user for user in pwd.getpwall()}
    return users.get("postgres") or users["nobody"]


def _all_may_enter(folder: Path) -> bool:
    return all(each.stat().st_mode & stat.S_IXOTH for each in (folder, *folder.parents))


def _as_other_user() -> list[str]:
    user = _other_user()
    if user is None:
        return []
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def _program(name: str) -> str | None:
    if (other := os.environ.get(_OTHER_FOLDER)) is not None:
        return str(Path(other) / "bin" / name)
    found = [folder / "bin" / name for folder in _DEBIAN_FOLDERS.glob("[0-9]*")]
    newest = max((path for path in found if path.exists()), key=_version, default=None)
    return str(newest) if newest is not None else shutil.which(name)


def _version(program: Path) -> int:
    return int(program.parts[-3])


def _required(name: str) -> str:
    program = _program(name)
    if program is None:
        message = f"{name} is not installed"
        raise ServerError(message)
    return program
