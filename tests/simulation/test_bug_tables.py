"""docs/simulation.md names each deliberate bug, and the seed at which it is seen."""

from __future__ import annotations

import re
from pathlib import Path

from devtools.evidence.claims import CLAIMS
from tests.simulation.bugs import every_bug

_DOCUMENT = Path(__file__).parents[2] / "docs" / "simulation.md"
_ROW = re.compile(
    r"^\| (?P<name>[^|]+) \| (?P<seed>\d+)(?P<emphasis>, emphasis)? \| .+ \|$", re.MULTILINE
)


def test_the_document_names_each_deliberate_bug_with_its_seed() -> None:
    rows = {
        (row["name"], int(row["seed"]), row["emphasis"] is not None)
        for row in _ROW.finditer(_DOCUMENT.read_text(encoding="utf-8"))
    }
    assert rows == {(known.name, known.seed, bool(known.emphasis)) for known in every_bug()}


def test_each_fault_of_another_system_names_a_bug_that_is_planted() -> None:
    section = _DOCUMENT.read_text(encoding="utf-8").partition("### Faults that other systems had")[
        2
    ]
    named = re.findall(r'^\| .+ \| "(.+)" \|$', section, re.MULTILINE)
    assert len(named) > 10
    assert set(named) <= {known.name for known in every_bug()}


def test_each_claim_of_the_run_has_bugs_here_and_each_bug_one_of_these_claims() -> None:
    claimed = {claim.bugs for claim in CLAIMS if "deliberate-bugs" in claim.runs}
    assert {known.breaks for known in every_bug()} == claimed
