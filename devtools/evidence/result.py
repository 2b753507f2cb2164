"""The result of one run, as a file below ``evidence/``."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from devtools.evidence.figures import Bugs, Curves

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "evidence"
_PRODUCT = ("services", "shared")


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a run came to.

    Attributes:
        tree: names the product code that ran: a digest of the trees of services and shared.
        seconds: of wall clock, of all slices together.
        load: of the machine in the last minute of the run: its own and what ran beside it.
        passed: whether the command ended with 0.
        stopped: whether the run was stopped before its end. Such a run has not passed.
        figures: what the run counted.
        curves: values by minute of the run.
        bugs: by class and name, whether each deliberate bug was found. Empty for other runs.
    """

    run: str
    command: str
    commit: str
    tree: str
    date: str
    machine: str
    seconds: float
    passed: bool
    figures: Mapping[str, float]
    load: float = 0.0
    curves: Curves = field(default_factory=dict)
    bugs: Bugs = field(default_factory=dict)
    stopped: bool = False

    def replaces(self, earlier: Result | None) -> bool:
        """Whether this result takes the place of an earlier one.

        A stopped run does so if it counted something, but never replaces a whole run of the same
        product code.
        """
        if not self.stopped:
            return True
        is_whole = earlier is not None and not earlier.stopped and earlier.tree == self.tree
        return any(self.figures.values()) and not is_whole

    def save(self) -> None:
        """Write the result in the place of the run's earlier one."""
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{self.run}.json").write_text(json.dumps(asdict(self), indent=2) + "\n")


def load(run: str) -> Result | None:
    """Return the last result of a run, or ``None`` if it has none."""
    path = RESULTS / f"{run}.json"
    return Result(**json.loads(path.read_text())) if path.exists() else None


def commit_of_today() -> str:
    """Return the short name of the commit that is checked out.

    Raises:
        RuntimeError: product code or tests differ from it; such a run cannot be repeated.
    """
    if _git("status", "--porcelain", "--untracked-files=no", "--", *_PRODUCT, "tests"):
        raise RuntimeError("services, shared or tests have changes that are not committed")
    return _git("rev-parse", "--short=10", "HEAD")


def tree_of_today() -> str:
    """Return the name of the product code that is checked out."""
    trees = "".join(_git("rev-parse", f"HEAD:{folder}") for folder in _PRODUCT)
    return hashlib.sha256(trees.encode()).hexdigest()[:10]


def code_of_today() -> str:
    """Return the name of product code and tests: a run in slices must not mix two of them."""
    return hashlib.sha256((tree_of_today() + _git("rev-parse", "HEAD:tests")).encode()).hexdigest()[
        :10
    ]


def this_machine() -> str:
    """Return what a reader needs to judge the figures."""
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()
