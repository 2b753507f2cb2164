"""Numbers that a run counts while ``python -m devtools.evidence record`` watches it."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_FILE = "EVIDENCE_FIGURES"
_PART, _CURVE, _BUG = "part", "curve", "bug"
_SLICE_SECONDS = "slice_seconds"

Curves = dict[str, list[list[float]]]
Bugs = dict[str, dict[str, bool]]


def count(part: str = "", /, **numbers: float) -> None:
    """Add to the figures of the run that is being recorded; do nothing where none is.

    Safe from several processes at once: each call appends one line.

    Args:
        part: names what is done with this; a later slice of the run leaves it out.
    """
    _append({_PART: part, **numbers} if part else numbers)


def point(curve: str, minute: float, value: float) -> None:
    """Add a point to a curve of the run that is being recorded."""
    _append({_CURVE: curve, "at": [round(minute, 2), value]})


def bug(broken: str, name: str, *, found: bool) -> None:
    """Note whether the run that is being recorded found a deliberate bug.

    Args:
        broken: the class of the bug, a value of ``BugClass``.
    """
    _append({_BUG: name, "breaks": broken, "found": found})
    count(bugs_found=int(found))


def is_done(part: str) -> bool:
    """Whether an earlier slice of this run has done this part."""
    path = os.environ.get(_FILE)
    return bool(path) and any(line.get(_PART) == part for line in _lines(Path(str(path))))


def fault(kind: str) -> str:
    """Return the name of the figure that counts this kind of fault."""
    return f"faults_{kind.replace(',', '').replace(' ', '_')}"


def environment(path: Path) -> Mapping[str, str]:
    """Return the environment in which a command's figures go to ``path``."""
    return os.environ | {_FILE: str(path)}


def keep_parts(path: Path) -> None:
    """Forget what an earlier slice counted outside of parts: it is counted again.

    The time of a slice is kept only beside parts: a run without them begins anew.
    """
    kept = [line for line in _lines(path) if _PART in line]
    if not any(line[_PART] for line in kept):
        kept = []
    path.write_text("".join(json.dumps(line) + "\n" for line in kept))


def seconds(path: Path) -> float:
    """Return how long all slices took together."""
    return sum(float(line.get(_SLICE_SECONDS, 0)) for line in _lines(path))


def total(path: Path) -> dict[str, float]:
    """Return the sum of each figure."""
    sums: Counter[str] = Counter()
    for line in _lines(path):
        if _CURVE not in line and _BUG not in line and _SLICE_SECONDS not in line:
            sums.update({name: number for name, number in line.items() if name != _PART})
    return dict(sorted(sums.items()))


def curves(path: Path) -> Curves:
    """Return the points of each curve, in order of time."""
    found: Curves = {}
    for line in _lines(path):
        if _CURVE in line:
            found.setdefault(line[_CURVE], []).append(line["at"])
    return {name: sorted(points) for name, points in found.items()}


def bugs(path: Path) -> Bugs:
    """Return by class and name whether each deliberate bug was found."""
    seen: Bugs = {}
    for line in _lines(path):
        if _BUG in line:
            seen.setdefault(line["breaks"], {})[line[_BUG]] = line["found"]
    return seen


def add_slice(path: Path, seconds: float) -> None:
    """Note how long a slice of a run took."""
    _write(path, {_PART: "", _SLICE_SECONDS: seconds})


def _append(line: Mapping[str, Any]) -> None:
    path = os.environ.get(_FILE)
    if path:
        _write(Path(path), line)


def _write(path: Path, line: Mapping[str, Any]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


def _lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines; the last one may be cut off where a slice was stopped."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
