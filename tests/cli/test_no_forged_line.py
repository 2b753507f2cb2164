"""No text of a user begins a line of its own among the lines of a command."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

import jobfleet_cli
from jobfleet_cli import (
    errors,
    events,
    groups,
    limits,
    locks,
    queues,
    schedule_list,
    types,
    workers,
)
from jobfleet_cli.console_line import ConsoleLine
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.job_action import ActionRun
from jobfleet_cli.job_history import print_job
from jobfleet_cli.job_list import print_jobs
from jobfleet_cli.job_logs import print_logs
from jobfleet_cli.job_selection import JobSelection
from jobfleet_dashboard.api.examples import (
    fleet_examples,
    group_examples,
    incident_examples,
    job_examples,
    limit_examples,
    schedule_examples,
)
from jobfleet_protocol.reading.job_actions import JobAction

FORGED = "x\nFORGED completed\n\nFORGED"
LINE = {
    "at": "2026-11-20T09:30:00.000000Z",
    "attempt": 1,
    "level": "info",
    "message": "m",
    "logger": "l",
    "fields": {"f": "v"},
    "exception": "Traceback\n  File\nValueError: e",
}
ROW = {"attempt": 1, "updatedAt": LINE["at"], "message": "m", **job_examples.JOB}
FAILED = {**job_examples.JOB, "lastError": {"type": "T", "message": "m", "traceback": "t"}}

OURS = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9-]{10}T[0-9:.]+Z")
WORDS = ("state", "when", "next")


class _Log:
    """A log of one line."""

    def __init__(self, line: Mapping[str, Any]) -> None:
        self._line = line

    async def page(self, cursor: str | None) -> Mapping[str, Any]:
        return {"items": [self._line], "cursor": "c", "next": None}

    async def has_ended(self) -> bool:
        return True


def _log(line: Mapping[str, Any]) -> None:
    asyncio.run(print_logs(_Log(line), follow=False, as_json=False))


def _console(entry: dict[str, Any]) -> None:
    sys.stdout.write(ConsoleLine(colours=False)(None, "", entry) + "\n")


def _refused(item: dict[str, Any]) -> None:
    selection = JobSelection(action=JobAction.CANCEL, ids=["x"])
    run = ActionRun(action=JobAction.CANCEL, selection=selection, reason="", as_json=False)
    run._refused("x", item["reason"])


def _page(printed: Callable[..., Any]) -> Callable[[Any], Any]:
    return lambda found: printed(found, as_json=False)


ENTRY = {"timestamp": LINE["at"], "event": "e", "job_id": "j", "exception": "t", "other": "o"}
PRINTED: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "jobs show": (
        lambda answers: print_job(answers[0], answers[1]),
        [FAILED, [job_examples.EVENT]],
    ),
    "jobs list": (_page(print_jobs), {"items": [ROW], "next": None}),
    "jobs logs": (_log, LINE),
    "jobs cancel": (_refused, {"reason": "r"}),
    "events": (_page(events._print), job_examples.EVENTS),
    "errors": (_page(errors._print), incident_examples.ERRORS),
    "groups show": (_page(groups._shown), group_examples.GROUP),
    "groups members": (_page(groups._listed), group_examples.MEMBERS),
    "limits list": (_page(limits._print_list), limit_examples.LIMITS),
    "limits show": (
        lambda answers: limits._print_one(answers[0], answers[1]["items"], as_json=False),
        [limit_examples.LIMIT, limit_examples.LIMIT_HISTORY],
    ),
    "locks": (_page(locks._print), fleet_examples.LOCKS),
    "queues list": (_page(queues._print), {"items": fleet_examples.QUEUES["queues"]}),
    "schedules list": (_page(schedule_list.print_list), schedule_examples.SCHEDULES),
    "schedules show": (_page(schedule_list.print_schedule), schedule_examples.SCHEDULE),
    "schedules history": (
        _page(schedule_list.print_history),
        schedule_examples.SCHEDULE_HISTORY["items"],
    ),
    "types slowest": (types._print_slowest, fleet_examples.TYPES["slowest"]),
    "workers": (_page(workers._print), fleet_examples.WORKERS),
    "workers ID": (_page(workers._print_one), fleet_examples.WORKER),
    "log of a service": (_console, ENTRY),
}


def _planted(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the value with one text after the other replaced, but ids, times and our own words."""
    match value:
        case str() if not OURS.fullmatch(value) and path.rpartition(".")[2] not in WORDS:
            yield path, FORGED
        case dict():
            for name in value:
                for where, planted in _planted(value[name], f"{path}.{name}"):
                    yield where, {**value, name: planted}
        case list():
            for place, item in enumerate(value):
                for where, planted in _planted(item, f"{path}.{place}"):
                    yield where, [*value[:place], planted, *value[place + 1 :]]


@pytest.mark.parametrize("command", PRINTED)
def test_no_text_begins_a_line_of_its_own(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    show, example = PRINTED[command]
    tried = 0
    for path, planted in _planted(deepcopy(example)):
        try:
            show(planted)
        except (ValueError, KeyError):
            continue  # a time, or a word that the command knows: no text of a user
        finally:
            shown = capsys.readouterr()
        tried += 1
        lines = (shown.out + shown.err).splitlines()
        assert not [line for line in lines if line.startswith("FORGED")], (path, lines)
    assert tried, command


def test_a_name_of_a_logged_field_begins_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    _log(LINE | {"fields": {FORGED: 1, "deep": {FORGED: [FORGED]}}})
    _console({**ENTRY, FORGED: FORGED})
    assert not re.search("^FORGED", capsys.readouterr().out, re.MULTILINE)


def test_only_whole_outputs_keep_line_breaks_unindented() -> None:
    folder = Path(jobfleet_cli.__file__).parent
    users = {path.name for path in folder.glob("*.py") if "visible_lines" in path.read_text()}
    assert users == {"terminal_text.py", "standard_streams.py"}


def test_an_error_that_holds_lines_is_indented(capsys: pytest.CaptureFixture[str]) -> None:
    from jobfleet_cli import main
    from jobfleet_contracts.errors import InvalidRequest

    def refuse(**_: object) -> None:
        raise InvalidRequest(FORGED, field="x")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["jobfleet"])
        patch.setattr(main, "open_standard_streams", lambda: None)
        patch.setattr("typer.main.get_command", lambda _: type("C", (), {"main": refuse}))
        with pytest.raises(SystemExit) as ended:
            main.main()
    assert ended.value.code == ExitCode.USAGE
    assert not re.search("^FORGED", capsys.readouterr().err, re.MULTILINE)
