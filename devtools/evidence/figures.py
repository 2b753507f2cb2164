"""Numbers that a run counts while ``python -m devtools.evidence record`` watches it."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

_FILE = "EVIDENCE_FIGURES"


def count(**numbers: float) -> None:
    """Add to the figures of the run that is being recorded; do nothing where none is.

    Safe from several processes at once: each call appends one line.
    """
    path = os.environ.get(_FILE)
    if path:
        with Path(path).open("a") as file:
            file.write(json.dumps(numbers) + "\n")


def environment(path: Path) -> Mapping[str, str]:
    """Return the environment in which a command's figures go to ``path``."""
    return os.environ | {_FILE: str(path)}


def total(path: Path) -> dict[str, float]:
    """Return the sum of each figure."""
    sums: Counter[str] = Counter()
    for line in path.read_text().splitlines():
        for name, number in json.loads(line).items():
            sums[name] += number
    return dict(sorted(sums.items()))
