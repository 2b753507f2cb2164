"""A forged export is found by ``audit verify --export`` and by the second checker."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from devtools import second_checker
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.export_verification import verify_export
from jobfleet_contracts.control import ControlEntry, ControlKind, ControlSubject
from jobfleet_contracts.errors import SettingsError
from jobfleet_protocol.reading.export_line import control_line, export_line
from tests.protocol.life import NOON
from tests.protocol.test_verification import LEGAL

Line = dict[str, Any]
FORGED = {"message": "FORGED", "data": {"result": "FORGED"}}


def _lines(*, raw: bool) -> list[Line]:
    """Two jobs and an entry of the control log."""
    events = [event for _ in range(2) for event in LEGAL["success"]().events]
    entry = ControlEntry(
        subject=ControlSubject.QUEUE,
        name="mail",
        sequence=1,
        entry_id="e1",
        kind=ControlKind.PAUSED,
        by="ann",
        occurred_at=NOON,
        reason="",
        details={},
        state={},
    )
    lines = [*(export_line(event, raw=raw) for event in events), control_line(entry, raw=raw)]
    return [json.loads(json.dumps(line)) for line in lines]


def _answers(lines: list[Line], file: Path, *, raw: bool) -> tuple[int, int]:
    """Return whether each of the two finds something: 0, 1, or 2 for a file that is no export."""
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    try:
        first: int = verify_export(file, as_json=False)
    except SettingsError:
        first = ExitCode.USAGE
    return first, second_checker.main([str(file), *["--raw"] * raw])


def _newest(lines: list[Line]) -> Line:
    return next(line for line in lines if line["status"] == "Completed")


def _without_salt(lines: list[Line]) -> None:
    _newest(lines).update(FORGED)
    del _newest(lines)["salt"]


def _without_salt_as_if_erased(lines: list[Line]) -> None:
    _without_salt(lines)
    _newest(lines)["erased"] = True


def _without_any_salt_in_a_job(lines: list[Line]) -> None:
    job = _newest(lines)["jobId"]
    for line in lines:
        if line.get("jobId") == job:
            line.update(FORGED)
            del line["salt"]


def _as_control_line(lines: list[Line]) -> None:
    newest = _newest(lines)
    del newest["jobId"]
    newest["subject"] = "fleet"


def _twice(lines: list[Line]) -> None:
    job = lines[0]["jobId"]
    lines += [dict(line) for line in lines if line.get("jobId") == job]


FORGERIES: dict[str, Callable[[list[Line]], Any]] = {
    "changed": lambda lines: _newest(lines).update(FORGED),
    "salt null": lambda lines: _newest(lines).update(FORGED, salt=None),
    "salt null, said to be erased": lambda lines: _newest(lines).update(
        FORGED, salt=None, erased=True
    ),
    "emptied, said to be erased": lambda lines: _newest(lines).update(
        message="", data={}, salt=None, erased=True
    ),
    "salt empty": lambda lines: _newest(lines).update(FORGED, salt=""),
    "salt gone": _without_salt,
    "salt gone, said to be erased": _without_salt_as_if_erased,
    "all salts of a job gone": _without_any_salt_in_a_job,
    "unreadable": lambda lines: _newest(lines).update(FORGED, status="Unreadable"),
    "unknown status": lambda lines: _newest(lines).update(status="Exotic"),
    "an event as an entry of the control log": _as_control_line,
    "a job twice": _twice,
    "data null": lambda lines: _newest(lines).update(data=None),
    "empty": list.clear,
    "control log only": lambda lines: lines.__delitem__(slice(0, -1)),
}
OF_RAW_FILES = {name for name in FORGERIES if "salt" in name or "erased" in name} | {"changed"}
"""What a masked file, which has no salts, cannot show."""


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("forgery", FORGERIES)
def test_both_checkers_find_a_forged_export(forgery: str, raw: bool, tmp_path: Path) -> None:
    lines = _lines(raw=raw)
    assert _answers(lines, tmp_path / "whole", raw=raw) == (0, 0)
    if not raw and forgery in OF_RAW_FILES:
        return
    FORGERIES[forgery](lines)
    first, second = _answers(lines, tmp_path / "forged", raw=raw)
    assert first
    assert second


def test_a_masked_export_says_what_it_cannot_show(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _answers(_lines(raw=False), tmp_path / "masked", raw=False)
    assert "names, messages and data were not checked" in capsys.readouterr().out
    _answers(_lines(raw=True), tmp_path / "raw", raw=True)
    assert "not checked" not in capsys.readouterr().out


def test_an_erased_job_is_whole_in_either_file(tmp_path: Path) -> None:
    events = LEGAL["erased"]().events
    for raw in (True, False):
        lines = [json.loads(json.dumps(export_line(event, raw=raw))) for event in events]
        assert _answers(lines, tmp_path / "erased", raw=raw) == (0, 0)
