"""systemd reads the units without a complaint."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
JOBFLEET = Path(sys.executable).with_name("jobfleet")


@pytest.mark.parametrize("unit", sorted(path.name for path in FOLDER.iterdir()))
def test_systemd_has_nothing_to_say_about_a_unit(unit: str, tmp_path: Path) -> None:
    text = (FOLDER / unit).read_text()
    assert "/opt/jobfleet/bin/jobfleet" in text
    installed = tmp_path / unit
    installed.write_text(text.replace("/opt/jobfleet/bin/jobfleet", str(JOBFLEET)))
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(installed)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (verified.returncode, verified.stderr) == (0, "")
