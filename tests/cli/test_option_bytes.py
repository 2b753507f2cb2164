"""Bytes that are not UTF-8 are wrong usage in one line, for every option of every command."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module

import pytest
import typer
from typer.core import TyperGroup

from jobfleet_cli.lazy_group import COMMANDS
from jobfleet_cli.main import main
from tests.cli.conftest import Cli

BYTES = "caf\udce9"  # how Python holds caf\\xe9 of the command line


def _parameters() -> Iterator[tuple[str, ...]]:
    for name in COMMANDS:
        command = typer.main.get_command(
            import_module(f"jobfleet_cli.{name.replace('-', '_')}").app
        )
        group = command.commands.items() if isinstance(command, TyperGroup) else [("", command)]
        for inner, each in group:
            words = (name, inner) if inner else (name,)
            yield (*words, BYTES)
            for parameter in each.params:
                for option in parameter.opts:
                    if option.startswith("-"):
                        yield (*words, option, BYTES)
                        yield (*words, f"{option}={BYTES}")


ALL = list(_parameters())


def test_the_options_are_enumerated() -> None:
    assert ("publish", "--idempotency-key", BYTES) in ALL
    assert ("jobs", "cancel", "--reason", BYTES) in ALL
    assert len(ALL) > 100


@pytest.mark.parametrize(
    "words", ALL, ids=[" ".join(words[:-1]) + ascii(words[-1]) for words in ALL]
)
def test_bytes_that_are_not_utf8_are_one_line_and_exit_2(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("stdout", "stderr"):  # main replaces them
        monkeypatch.setattr(sys, name, getattr(sys, name))
    monkeypatch.setattr(sys, "argv", ["jobfleet", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    written = capfd.readouterr()
    assert ended.value.code == 2
    assert written.out == ""
    _check_line(words, written.err)


@pytest.mark.parametrize(
    "words",
    [("publish", BYTES), ("publish", "--name", BYTES), ("jobs", "list", f"--type={BYTES}")],
    ids=["argument", "option", "option="],
)
def test_a_process_ends_so_too(cli: Cli, words: tuple[str, ...]) -> None:
    answer = cli.run(*words)
    assert answer.returncode == 2
    assert answer.stdout == ""
    _check_line(words, answer.stderr)


def _check_line(words: tuple[str, ...], written: str) -> None:
    [line] = written.splitlines()
    assert line.startswith("error: ")
    assert "is not UTF-8" in line
    option = words[-2] if words[-1] == BYTES else words[-1].partition("=")[0]
    assert (option if option.startswith("-") else "an argument") in line


def test_a_command_itself_may_not_hold_such_bytes(cli: Cli) -> None:
    assert cli.run(BYTES).returncode == 2
