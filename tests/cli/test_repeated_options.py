"""An option that takes one value is refused when it comes twice: no value is dropped in silence."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

import pytest
import typer
from typer.core import TyperGroup, TyperOption

from jobfleet_cli.lazy_group import COMMANDS
from jobfleet_cli.main import main
from tests.cli.conftest import Cli


def _single_options() -> Iterator[tuple[str, ...]]:
    """Each option of each command that takes one value, with the words of its command."""
    for name in COMMANDS:
        command = typer.main.get_command(
            import_module(f"jobfleet_cli.{name.replace('-', '_')}").app
        )
        group = command.commands.items() if isinstance(command, TyperGroup) else [("", command)]
        for inner, each in group:
            words = (name, inner) if inner else (name,)
            for parameter in each.params:
                if isinstance(parameter, TyperOption) and not (
                    parameter.is_flag or parameter.multiple
                ):
                    yield (*words, parameter.opts[0])


ALL = list(_single_options())


def test_the_options_are_enumerated() -> None:
    assert ("worker", "--handlers") in ALL
    assert ("jobs", "cancel", "--reason") in ALL
    assert len(ALL) > 80


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_a_repeated_option_is_one_line_and_exit_2(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    *command, option = words
    monkeypatch.setattr("sys.argv", ["jobfleet", *command, option, "1", f"{option}=2"])
    monkeypatch.setattr("jobfleet_cli.main.open_standard_streams", lambda: None)
    with pytest.raises(SystemExit) as ended:
        main()
    written = capfd.readouterr()
    assert ended.value.code == 2
    assert written.out == ""
    assert f"{option} is given twice" in written.err


def test_a_list_says_that_it_is_written_with_commas(cli: Cli) -> None:
    answer = cli.run("worker", "--handlers", "shop.mail", "--handlers", "shop.pay")
    assert answer.returncode == 2
    assert "--handlers is given twice; write one: --handlers PKG.MOD,..." in answer.stderr
