"""The evidence page says what ran, on which code, and openly what did not."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path

import pytest

from devtools.evidence import __main__ as command
from devtools.evidence import figures
from devtools.evidence.bug_class import BugClass
from devtools.evidence.claims import CLAIMS, COMMANDS
from devtools.evidence.page import page
from devtools.evidence.result import Result, load

ROOT = Path(__file__).parents[2]


SLICED = """
import sys, time
from devtools.evidence import figures
figures.count(seeds=1)  # outside of parts: counted anew by each slice
first = not figures.is_done("first")
if first:
    figures.count("first", seeds=2)
    time.sleep(60)
"""


def result(**changes: object) -> Result:
    fields: dict[str, object] = {
        "run": "simulation",
        "command": "make simulate",
        "commit": "abc",
        "tree": "today",
        "date": "2026-01-02",
        "machine": "2 cores",
        "seconds": 120.0,
        "passed": True,
        "figures": {"seeds": 100_000, "simulated_hours": 1.25},
    }
    return Result(**(fields | changes))  # type: ignore[arg-type]


def test_a_run_without_a_result_is_shown_as_not_run() -> None:
    text = page(lambda _: None)
    assert text.count("**Not run.**") == len(COMMANDS)


def test_a_result_is_shown_with_its_figures() -> None:
    text = page(lambda run: result() if run == "simulation" else None)
    assert "**Passed** on 2026-01-02." in text
    assert "| commit | `abc`, product code `today` |" in text
    assert "| seeds | 100,000 |" in text
    assert "| simulated hours | 1.2 |" in text


def test_a_claim_tells_how_many_bugs_of_its_class_were_found_and_their_names() -> None:
    of_pauses = {"a <late> look": True, "a lost one": False}
    ran = result(run="deliberate-bugs", bugs={BugClass.PAUSES: of_pauses})
    text = page(lambda run: ran if run == "deliberate-bugs" else None)
    _, _, row = text.partition("## A pause holds")
    row, _, _ = row.partition("\n## ")
    assert "**Deliberate bugs**: 1 of 2 found" in row
    assert "a &lt;late&gt; look; a lost one (NOT FOUND)</details>" in row


def test_bugs_that_no_run_has_looked_for_are_not_run() -> None:
    ran = result(run="deliberate-bugs", bugs={BugClass.PAUSES: {"a lost one": True}})
    text = page(lambda run: ran if run == "deliberate-bugs" else None)
    assert text.count("**Deliberate bugs**: not run") == len(BugClass) - 1


def test_the_bugs_of_a_claim_may_be_found_by_another_of_its_runs() -> None:
    ran = result(run="transactions", bugs={BugClass.OWN_TRANSACTION: {"a lost one": True}})
    text = page(lambda run: ran if run == "transactions" else None)
    _, _, row = text.partition("## A job submitted in a user's own transaction")
    assert "**Deliberate bugs**: 1 of 1 found" in row.partition("\n## ")[0]


def test_every_claim_has_its_bugs_or_a_reason_for_none() -> None:
    claimed = [claim.bugs for claim in CLAIMS if claim.bugs is not None]
    assert sorted(claimed) == sorted(BugClass)
    assert [claim.promise for claim in CLAIMS if bool(claim.bugs) == bool(claim.no_bugs)] == []


def test_a_run_that_failed_says_so() -> None:
    assert "**FAILED**" in page(lambda _: result(passed=False))


def test_every_run_belongs_to_a_claim_and_every_claim_has_runs() -> None:
    assert {run for claim in CLAIMS for run in claim.runs} == set(COMMANDS)
    for command_line in COMMANDS.values():
        for path in re.findall(r"tests/\S+", command_line):
            assert (ROOT / path).exists(), command_line


def test_the_page_is_that_of_the_stored_results() -> None:
    assert (ROOT / "docs" / "evidence.md").read_text() == page(load)


def test_a_recorded_run_keeps_what_its_command_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = (
        "from devtools.evidence.figures import bug, count, point; "
        "count(seeds=2); count(seeds=3); point('MiB', 1, 20.5); bug('pauses', 'a', found=True)"
    )
    failing = f"{counting}; raise SystemExit(3)"
    monkeypatch.setitem(COMMANDS, "simulation", f'{sys.executable} -c "{failing}"')
    monkeypatch.setattr("devtools.evidence.result.RESULTS", tmp_path)
    monkeypatch.setattr(command, "commit_of_today", lambda: "abc")
    monkeypatch.setattr(command, "SLICES", tmp_path)
    recorded = command.record("simulation")
    assert recorded is not None
    assert (recorded.passed, recorded.figures) == (
        False,
        {"bugs_found": 1, "seeds": 5},
    )
    assert recorded.bugs == {"pauses": {"a": True}}
    assert load("simulation") == recorded
    assert recorded.curves == {"MiB": [[1, 20.5]]}


def test_a_run_that_is_stopped_goes_on_with_the_parts_that_are_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "parts.py").write_text(SLICED)
    monkeypatch.setitem(COMMANDS, "simulation", f"{sys.executable} {tmp_path / 'parts.py'}")
    monkeypatch.setattr("devtools.evidence.result.RESULTS", tmp_path)
    monkeypatch.setattr(command, "SLICES", tmp_path)
    monkeypatch.setattr(command, "commit_of_today", lambda: "abc")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in the background of a script
    assert command.record("simulation", seconds=3) is None
    assert load("simulation") is None
    recorded = command.record("simulation")
    assert recorded is not None
    assert recorded.passed
    assert recorded.figures == {"seeds": 3}
    assert recorded.seconds >= 3


def test_nothing_is_counted_where_no_run_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVIDENCE_FIGURES", raising=False)
    figures.count(seeds=1)
