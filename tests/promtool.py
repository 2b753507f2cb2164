"""Debian's ``promtool`` on what a process shows."""

import shutil
import subprocess


def check_metrics(text: bytes) -> None:
    """Fail with each thing that ``promtool check metrics`` finds."""
    promtool = shutil.which("promtool")
    assert promtool is not None, "promtool is missing; run python -m devtools.prerequisites"
    found = subprocess.run(
        [promtool, "check", "metrics"], check=False, input=text, capture_output=True
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert not found.stdout + found.stderr
