"""Exports of each released form stay readable and right; see docs/stability.md."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from devtools import second_checker
from jobfleet_contracts.codec import decode
from jobfleet_protocol.audit.export_check import check_export
from jobfleet_protocol.audit.verification import verify_job
from jobfleet_protocol.reading.export_line import event_of_line, is_control_line

CORPUS = Path(__file__).parents[1] / "corpus"
EXPORTS = sorted(CORPUS.glob("*/*.jsonl.gz"))


def lines_of(export: Path) -> list[str]:
    return gzip.decompress(export.read_bytes()).decode().splitlines()


def test_the_corpus_holds_the_form_of_this_release() -> None:
    assert [each.parent.name for each in EXPORTS][:1] == ["0.1.0"]


@pytest.mark.parametrize("export", EXPORTS, ids=lambda path: str(path.relative_to(CORPUS)))
def test_an_export_of_an_earlier_release_is_read_and_found_right(export: Path) -> None:
    lines = [decode(line.encode()) for line in lines_of(export)]
    events = [event_of_line(line) for line in lines if not is_control_line(line)]
    assert len({event.job_id for event in events}) > 50
    assert list(check_export(events)) == []
    for job_id in {event.job_id for event in events}:
        assert verify_job([event for event in events if event.job_id == job_id]) == []
    assert second_checker.check(lines_of(export), raw=True) == []
