"""No text of users steers a terminal; in a pipe its bytes stay as they are."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Iterator

import pytest
import typer
from typer.core import TyperGroup

from jobfleet_cli.lazy_group import COMMANDS
from jobfleet_cli.terminal_text import visible, visible_json
from jobfleet_contracts.visible_text import visible_lines
from tests.cli.command_process import ForkedTerminal
from tests.cli.conftest import Cli
from tests.cli.test_terminal import ESCAPES

UNSAFE = [
    chr(number)
    for number in range(sys.maxunicode + 1)
    if unicodedata.category(chr(number)) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
    or 0xE0000 <= number <= 0xE0FFF
]
HOSTILE = "a\x1b]0;t\x07\x9b31m\u061c\u200b\u2028\u2029\u202e\u2066\ufeff\U000e0041z"
HELD = "\u061c\u200b\u2028\u2029\u202e\u2066\ufeff\U000e0041"
"""What a job's name may hold: C0 and C1 are refused at the edge."""


def test_every_control_and_format_character_is_shown_not_obeyed() -> None:
    for character in UNSAFE:
        shown = visible(f"a{character}b")
        assert all(unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} for c in shown)
        assert character in "\n\t" or visible_lines(character) != character


def test_json_on_a_terminal_means_the_same_and_holds_none_of_them() -> None:
    for character in UNSAFE:
        if unicodedata.category(character) == "Cs":
            continue
        shown = visible_json(json.dumps(f"a{character}b", ensure_ascii=False))
        assert json.loads(shown) == f"a{character}b"
        assert not set(shown) & set(UNSAFE)


def test_letters_of_all_languages_and_emoji_stay() -> None:
    text = "Zoë 東京 Привет שלום مرحبا 🎉 ❤️"
    assert visible(text) == text


@pytest.mark.parametrize("option", ["--name", "--description", "--lock-key"])
@pytest.mark.parametrize("number", range(0x80, 0xA0))
def test_c1_controls_are_refused_at_the_edge(option: str, number: int) -> None:
    from jobfleet_contracts.errors import InvalidRequest
    from jobfleet_contracts.job import JobRequest

    names = {"--name": "jobName", "--description": "description", "--lock-key": "lockKey"}
    with pytest.raises(InvalidRequest, match="control characters"):
        JobRequest.parse({"type": "a", names[option]: f"x{chr(number)}y"})


@pytest.fixture
def terminals(cli: Cli) -> Iterator[list[ForkedTerminal]]:
    opened: list[ForkedTerminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


KEY = ("--idempotency-key", HOSTILE)


def _asked(job: str) -> dict[str, tuple[str, ...]]:
    """Every command that prints what users wrote; ``{}`` in a test of its own otherwise."""
    return {
        "jobs list": ("jobs", "list"),
        "jobs list --json": ("jobs", "list", "--json"),
        "jobs show": ("jobs", "show", job),
        "jobs show --json": ("jobs", "show", job, "--json"),
        "jobs watch": ("jobs", "watch", job),
        "jobs watch --json": ("jobs", "watch", job, "--json"),
        "jobs cancel": ("jobs", "cancel", job),
        "jobs cancel --json": ("jobs", "cancel", job, "--json"),
        "jobs redrive": ("jobs", "redrive", job),
        "jobs dismiss": ("jobs", "dismiss", job),
        "jobs run-anyway": ("jobs", "run-anyway", job, "--reason", f"r{HELD}"),
        "jobs erase": ("jobs", "erase", job, "--reason", f"r{HELD}"),
        "jobs logs": ("jobs", "logs", job),
        "jobs logs --json": ("jobs", "logs", job, "--json"),
        "events": ("events",),
        "events --json": ("events", "--json"),
        "audit import": ("audit", "import", HOSTILE),
        "audit unseal": ("audit", "unseal", "--reason", f"r{HELD}"),
        "audit verify": ("audit", "verify"),
        "audit verify --json": ("audit", "verify", "--json"),
        "audit export": ("audit", "export"),
        "audit rebuild": ("audit", "rebuild"),
        "audit heads": ("audit", "heads"),
        "audit verify --heads": ("audit", "verify", "--heads", HOSTILE),
        "audit verify --export": ("audit", "verify", "--export", HOSTILE),
        "audit export --out": ("audit", "export", "--out", f"{HOSTILE}/x"),
        "schedules add": ("schedules", "add", HOSTILE, "--type", "a", "--every", "60"),
        "schedules list": ("schedules", "list"),
        "schedules show": ("schedules", "show", "hourly"),
        "schedules next": ("schedules", "next", "hourly"),
        "schedules history": ("schedules", "history", "hourly"),
        "schedules run": ("schedules", "run", "hourly"),
        "schedules pause": ("schedules", "pause", "hourly", "--reason", f"r{HELD}"),
        "schedules resume": ("schedules", "resume", "hourly"),
        "schedules backfill": ("schedules", "backfill", "hourly", "--since", HOSTILE),
        "schedules remove": ("schedules", "remove", HOSTILE),
        "queues list": ("queues", "list"),
        "queues pause": ("queues", "pause", HOSTILE),
        "queues resume": ("queues", "resume", "default", "--reason", f"r{HELD}"),
        "types list": ("types", "list"),
        "types slowest": ("types", "slowest"),
        "types pause": ("types", "pause", HOSTILE),
        "types resume": ("types", "resume", "a", "--reason", f"r{HELD}"),
        "workers": ("workers",),
        "locks": ("locks",),
        "errors": ("errors",),
        "groups submit": ("groups", "submit", "--file", HOSTILE, "--name", "n", *KEY),
        "groups show": ("groups", "show", HOSTILE),
        "groups members": ("groups", "members", HOSTILE),
        "groups cancel": ("groups", "cancel", HOSTILE, "--reason", f"r{HELD}"),
        "groups redrive": ("groups", "redrive", HOSTILE, "--reason", f"r{HELD}"),
        "limits list": ("limits", "list"),
        "limits set": ("limits", "set", HOSTILE, "--slots", "2"),
        "limits show": ("limits", "show", HOSTILE),
        "limits remove": ("limits", "remove", HOSTILE),
        "migrate": ("migrate",),
        "publish": ("publish", "--type", "a", "--name", HELD),
        "publish wrong": ("publish", "--type", HOSTILE),
        "worker": ("worker", "--handlers", HOSTILE),
        "doctor": ("doctor",),
        "config show": ("config", "show"),
        "keys new": ("keys", "new", HOSTILE, "viewer"),
        "keys callback": ("keys", "callback"),
        "mock-third-party": ("mock-third-party", "--port", HOSTILE),
        "dashboard": ("dashboard", "--host", HOSTILE),
        "demo": ("demo", "--jobs", HOSTILE),
        "up": ("up", "--workers", HOSTILE),
    }


def _commands() -> set[str]:
    from importlib import import_module

    found: set[str] = set()
    for name in COMMANDS:
        command = typer.main.get_command(
            import_module(f"jobfleet_cli.{name.replace('-', '_')}").app
        )
        if isinstance(command, TyperGroup):
            found |= {f"{name} {inner}" for inner in command.commands}
        else:
            found.add(name)
    return found


def test_every_command_is_tried_on_a_terminal() -> None:
    assert _commands() <= set(_asked("x"))


@pytest.mark.parametrize("command", _asked("x"))
def test_no_command_lets_a_terminal_obey_what_a_user_wrote(
    cli: Cli, terminals: list[ForkedTerminal], command: str
) -> None:
    payload = json.dumps(HELD + "\x9b31m", ensure_ascii=False)
    [job] = cli.publish("--type", "a", "--name", f"n{HELD}", "--payload", payload)
    cli.run("jobs", "cancel", job, "--reason", f"r{HELD}")
    if command.startswith("schedules"):
        declare = ("schedules", "add", "hourly", "--type", "a", "--every", "3600")
        answer = cli.run(*declare, "--name", f"n{HELD}", "--payload", payload)
        assert answer.returncode == 0, answer.stderr
    if command in ("queues list", "types list"):
        for subject, name in (("queues", "default"), ("types", "a")):
            answer = cli.run(subject, "pause", name, "--reason", f"r{HELD}")
            assert answer.returncode == 0, answer.stderr
    environment = cli.environment | {"TERM": "xterm", "COLUMNS": "200", "LINES": "40"}
    words = _asked(job)[command]
    terminal = ForkedTerminal(words, folder=cli.folder, environment=environment)
    terminals.append(terminal)
    shown = ESCAPES.sub("", terminal.read())
    shown = re.sub(r"[\r\n\t]", "", shown)
    assert shown or terminal.process.exitcode == 0
    assert not set(shown) & set(UNSAFE), ascii(shown)


def test_a_pipe_gets_json_as_it_is(cli: Cli) -> None:
    [job] = cli.publish("--type", "a", "--name", f"n{HELD}")
    for command in (("jobs", "show", job, "--json"), ("audit", "export")):
        assert f"n{HELD}" in cli.run(*command).stdout
