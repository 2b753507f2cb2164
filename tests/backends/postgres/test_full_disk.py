"""The disk of the server fills up: it is named, nothing confirmed is lost, and it goes on later."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from devtools.servers.postgres_cluster import PostgresCluster
from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import BackendUnavailable
from tests.conformance.jobs import queued

pytestmark = [pytest.mark.servers, pytest.mark.full]

DISK_MIB = 256
TEXT = "x" * 4000


@pytest.fixture
def disk() -> Iterator[Path]:
    """A file system of its own, which needs root: sudo that asks nothing, or root itself."""
    folder = Path(tempfile.mkdtemp(prefix="jobfleet-disk-"))
    folder.chmod(0o755)
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(folder)]
    subprocess.run([*as_root, *mount], check=True)
    yield folder
    subprocess.run([*as_root, "umount", "--lazy", str(folder)], check=True)
    folder.rmdir()


@pytest.fixture
def cluster(disk: Path) -> Iterator[PostgresCluster]:
    server = PostgresCluster(folder=disk / "postgres")
    server.start()
    yield server
    server.kill()


async def test_a_full_disk_is_named_and_what_was_confirmed_survives_it(
    disk: Path, cluster: PostgresCluster
) -> None:
    settings = Settings(_env_file=None, backend="postgres", postgres_url=SecretStr(cluster.url))
    backend = await open_backend(settings)
    confirmed: list[str] = []
    filler = disk / "filler"
    try:
        free = shutil.disk_usage(disk).free
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, free - 4096)
        with pytest.raises(BackendUnavailable, match="has a full disk; free some space"):
            await _insert_until_refused(backend, confirmed)
        filler.unlink()
        cluster.start()  # quiet where it runs: without room for its log the server ends itself
        event = queued()
        await backend.trail.insert([event])
        stored = {history[0].job_id async for history in backend.trail.scan()}
        assert stored >= {*confirmed, event.job_id}
        assert len(stored) <= len(confirmed) + 2
    finally:
        filler.unlink(missing_ok=True)
        await backend.close()


async def _insert_until_refused(backend: Backend, confirmed: list[str]) -> None:
    for _ in range(5000):
        event = replace(queued(), message=TEXT)
        await backend.trail.insert([event])
        confirmed.append(event.job_id)
