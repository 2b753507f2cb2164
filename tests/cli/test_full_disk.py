"""A full disk is said in one line: at the open, at a publish, while jobs are published."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Cli

SCRIPT = """
set -e
mount -t tmpfs -o size=3m tmpfs "$1"
cd "$1"
"$2" -m jobfleet_cli publish --type a >/dev/null
dd if=/dev/zero of=fill bs=1k count=$3 2>/dev/null || true
set +e
shift 3
timeout 200 "$@"
"""


def _on_small_disk(
    cli: Cli, tmp_path: Path, fill: int, *words: str
) -> subprocess.CompletedProcess[str]:
    """Run a command on a disk of 3 MiB that only its own mount namespace sees."""
    disk = tmp_path / "disk"
    disk.mkdir()
    unshare = shutil.which("unshare")
    assert unshare is not None, "unshare is missing; install util-linux"
    root = [] if os.geteuid() == 0 else ["--map-root-user"]
    command = [sys.executable, "-m", "jobfleet_cli", *words]
    script = ["sh", "-c", SCRIPT, "sh", str(disk), sys.executable, str(fill)]
    return subprocess.run(
        [unshare, *root, "--mount", *script, *command],
        env=cli.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.parametrize("fill", [2300, 9999], ids=["room for the open only", "no room at all"])
def test_a_publish_on_a_full_disk_is_one_line_and_exit_3(
    cli: Cli, tmp_path: Path, fill: int
) -> None:
    payload = tmp_path / "payload.json"
    payload.write_text(f'"{"x" * 600_000}"')
    answer = _on_small_disk(
        cli, tmp_path, fill, "publish", "--type", "a", "--payload", f"@{payload}"
    )
    assert answer.returncode == 3, answer.stderr
    assert answer.stdout == ""
    assert f"no space left on the disk of {tmp_path}/disk/.jobfleet" in answer.stderr
    assert "Traceback" not in answer.stderr
    errors = [line for line in answer.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1


def test_a_worker_on_a_full_disk_says_so_at_its_start(cli: Cli, tmp_path: Path) -> None:
    answer = _on_small_disk(cli, tmp_path, 9999, "worker")
    assert answer.returncode == 3
    assert "no space left" in answer.stderr
    assert "Traceback" not in answer.stderr
