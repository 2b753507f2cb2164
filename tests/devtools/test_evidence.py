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
from devtools.evidence.claims import CLAIMS, COMMANDS, SEEDS
from devtools.evidence.page import page
from devtools.evidence.result import Result, load
from tests.simulation.seeds import IN_A_LONG_RUN

ROOT = Path(__file__).parents[2]


SLICED = """
import os, signal, sys, time
from devtools.evidence import figures
figures.count(seeds=1)  # outside of parts: counted anew by each slice
first = not figures.is_done("first")
if first:
    figures.count("first", seeds=2)
    os.kill(os.getppid(), signal.SIGINT)  # Ctrl-C for who records
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


def test_a_stopped_run_shows_what_it_has_and_has_not_passed() -> None:
    figures_so_far = {"seeds": 61_500, "failed_seeds": 0, "simulated_hours": 812.2}
    stopped = result(passed=False, stopped=True, figures=figures_so_far)
    text = page(lambda run: stopped if run == "simulation" else None)
    assert (
        "**Stopped before its end** on 2026-01-02: 61,500 of 100,000 seeds, 0 failed, "
        "812 simulated hours. This does not count as passed. "
        "The next call goes on with the seeds that are left."
    ) in text
    assert "**Passed**" not in text
    assert "FAILED" not in text
    assert "| commit | `abc`, product code `today` |" in text


def test_a_stopped_run_with_a_failed_seed_says_that_it_failed() -> None:
    stopped = result(passed=False, stopped=True, figures={"seeds": 200, "failed_seeds": 1})
    text = page(lambda run: stopped if run == "simulation" else None)
    assert "**FAILED and stopped before its end** on 2026-01-02: 200 of 100,000 seeds, 1 " in text


def test_bugs_of_a_stopped_run_are_not_shown_as_those_of_a_whole_one() -> None:
    bugs = {BugClass.PAUSES: {"a lost one": True}}
    stopped = result(run="deliberate-bugs", bugs=bugs, passed=False, stopped=True)
    text = page(lambda run: stopped if run == "deliberate-bugs" else None)
    assert "**Deliberate bugs**: 1 of 1 found; the run was stopped before its end" in text
    assert "**Stopped before its end** on 2026-01-02. This does not count as passed. " in text
    assert "The next call begins anew." in text
    ran = {"simulation": stopped, "deliberate-bugs": result(run="deliberate-bugs", bugs=bugs)}
    assert "**Deliberate bugs**: 1 of 1 found\n" in page(ran.get)


def test_a_stopped_run_replaces_no_whole_one_of_the_same_code() -> None:
    stopped = result(passed=False, stopped=True)
    assert stopped.replaces(None)
    assert stopped.replaces(stopped)
    assert stopped.replaces(result(tree="older"))
    assert not stopped.replaces(result())
    assert not stopped.replaces(result(passed=False))
    assert not result(passed=False, stopped=True, figures={"tests_passed": 0}).replaces(None)
    assert result(passed=False).replaces(result())


def test_the_seeds_of_a_run_are_those_of_the_long_simulation() -> None:
    assert {"simulation": IN_A_LONG_RUN} == SEEDS


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
    stopped = command.record("simulation")
    assert (stopped.passed, stopped.stopped, stopped.figures) == (False, True, {"seeds": 3})
    assert load("simulation") == stopped
    recorded = command.record("simulation")
    assert (recorded.passed, recorded.stopped, recorded.figures) == (True, False, {"seeds": 3})
    assert recorded.seconds >= stopped.seconds
    assert load("simulation") == recorded


def test_a_run_is_stopped_when_its_time_is_over_and_writes_nothing_where_it_counted_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(COMMANDS, "simulation", "sleep 300")
    monkeypatch.setattr("devtools.evidence.result.RESULTS", tmp_path)
    monkeypatch.setattr(command, "SLICES", tmp_path)
    monkeypatch.setattr(command, "commit_of_today", lambda: "abc")
    assert command.record("simulation", seconds=0.1).stopped
    assert load("simulation") is None


def test_a_run_without_parts_begins_anew_and_does_not_add_the_time_of_a_stopped_one(
    tmp_path: Path,
) -> None:
    slices = tmp_path / "slices.jsonl"
    figures.add_slice(slices, 60)
    figures.keep_parts(slices)
    assert figures.seconds(slices) == 0


def test_nothing_is_counted_where_no_run_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVIDENCE_FIGURES", raising=False)
    figures.count(seeds=1)
