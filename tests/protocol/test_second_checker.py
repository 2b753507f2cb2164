"""Two checkers that share no code agree on clean trails and on broken ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from devtools import second_checker, second_flow_checker
from devtools.second_checker import check
from jobfleet_contracts.codec import encode
from jobfleet_contracts.event import Event
from jobfleet_protocol.audit.verification import Verifier, verify_job
from jobfleet_protocol.reading.export_line import export_line
from jobfleet_protocol.trail.tombstone import seal_of, tombstone_of
from tests.protocol.broken_flows import BROKEN_FLOWS, flows_of_an_erased_job, whole_flows
from tests.protocol.life import Life, rechained
from tests.protocol.test_verification import BROKEN, LEGAL


def exported(life: Life) -> list[str]:
    return [encode(export_line(event, raw=True)).decode() for event in life.events]


@pytest.mark.parametrize("kind", LEGAL)
def test_the_second_checker_finds_nothing_in_a_legal_life(kind: str) -> None:
    assert check(exported(LEGAL[kind]()), raw=True) == []


@pytest.mark.parametrize("damage", BROKEN)
def test_the_second_checker_finds_what_the_first_one_finds(damage: str) -> None:
    life = BROKEN[damage][1]()
    assert verify_job(life.events)
    assert check(exported(life), raw=True)


@pytest.mark.parametrize("separator", "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")
def test_a_separator_of_lines_in_a_payload_separates_no_lines(
    separator: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "trail.jsonl"
    life = LEGAL["success"]()
    life.events[:] = rechained([replace(e, message=f"a{separator}b") for e in life.events])
    file.write_bytes("".join(f"{line}\n" for line in exported(life)).encode())
    assert second_checker.main([str(file), "--raw"]) == 0
    assert capsys.readouterr().out == "nothing found\n"


def sealed(life: Life) -> list[Event]:
    stone = tombstone_of(life.head, life.head, digest=None, message="removed")
    return [*life.events, seal_of(stone, head=life.head)]


def test_both_checkers_find_nothing_while_a_history_is_being_removed() -> None:
    first, *rest = sealed(LEGAL["success"]())
    for gone in range(len(rest)):
        events = [first, *rest[gone:]]
        assert verify_job(events) == []
        assert check(lines_of([events]), raw=True) == []


@pytest.mark.parametrize("gone", [0, 2, 3])
def test_both_checkers_miss_a_row_before_a_seal(gone: int) -> None:
    events = [e for place, e in enumerate(sealed(LEGAL["success"]())) if place != gone]
    assert verify_job(events)
    assert check(lines_of([events]), raw=True)


def test_both_checkers_find_a_changed_row_and_an_emptied_one_before_a_seal() -> None:
    first, second, *rest = sealed(LEGAL["success"]())
    emptied = [event.without_values() for event in (first, second, *rest[:-1])]
    for events in (
        [first, replace(second, message="changed"), *rest],
        [*emptied, rest[-1]],
        [first, second, *rest[:-1], replace(rest[-1], status="Failed")],
    ):
        assert verify_job(events)
        assert check(lines_of([events]), raw=True)


@pytest.mark.parametrize("damage", BROKEN_FLOWS)
def test_both_checkers_find_what_is_wrong_between_jobs(damage: str) -> None:
    rule, lives = BROKEN_FLOWS[damage]
    verifier = Verifier()
    for events in lives():
        verifier.add(events)
    assert {violation.rule for violation in verifier.finish()} == {rule}
    assert check(lines_of(lives()), raw=True)


def test_both_checkers_find_nothing_in_whole_flows() -> None:
    verifier = Verifier()
    for events in whole_flows():
        verifier.add(events)
    assert verifier.finish() == []
    assert check(lines_of(whole_flows()), raw=True) == []


@pytest.mark.parametrize("is_followed", [True, False])
@pytest.mark.parametrize("emptied", range(4))
def test_an_erased_job_may_be_followed_by_a_job_or_by_none(
    emptied: int, *, is_followed: bool
) -> None:
    flows = flows_of_an_erased_job(emptied=emptied, is_followed=is_followed)
    verifier = Verifier()
    for events in flows:
        verifier.add(events)
    assert verifier.finish() == []
    assert check(lines_of(flows), raw=True) == []


def lines_of(lives: Sequence[Sequence[Event]]) -> list[str]:
    events = (event for life in lives for event in life)
    return [encode(export_line(event, raw=True)).decode() for event in events]


def test_the_second_checker_imports_nothing_of_jobfleet_and_is_short() -> None:
    for module in (second_checker, second_flow_checker):
        text = Path(str(module.__file__)).read_text()
        assert "import jobfleet" not in text
        assert "from jobfleet" not in text
        assert len(text.splitlines()) <= 200
