"""The ``jobfleet`` command."""

from __future__ import annotations

import errno
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from jobfleet_cli.exit_code import ExitCode, exit_code_of
from jobfleet_cli.lazy_group import LazyGroup
from jobfleet_cli.standard_streams import discard_output, open_standard_streams
from jobfleet_cli.terminal_text import indented, visible
from jobfleet_contracts.errors import JobfleetError

_NO_OUTPUT = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EPIPE)

app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"jobfleet {version('jobfleet')}")
        raise typer.Exit


@app.callback()
def jobfleet(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Distributed jobs with an audit trail that can be checked.

    Settings come from the environment (JOBFLEET_...) and .env; `jobfleet config show` lists them.
    """


def main() -> None:
    """Run one command and exit: 0 done, 1 the answer is no, 2 usage, 3 a server is away."""
    open_standard_streams()
    _refuse_bytes(sys.argv[1:])
    try:
        try:
            typer.main.get_command(app).main(prog_name="jobfleet")
        finally:
            sys.stdout.flush()
    except JobfleetError as error:
        print(f"error: {indented(str(error))}", file=sys.stderr)
        sys.exit(exit_code_of(error))
    except OSError as error:
        if error.errno not in _NO_OUTPUT:
            raise
        discard_output()
        if error.errno == errno.EPIPE:
            sys.exit(ExitCode.NO)  # as typer does if it is told: `| head` has seen enough
        print(f"error: the output cannot be written: {error.strerror}", file=sys.stderr)
        sys.exit(ExitCode.USAGE)


def _refuse_bytes(arguments: list[str]) -> None:
    """Options and arguments are text: other bytes would fail somewhere behind the first write."""
    for before, argument in zip(["", *arguments], arguments, strict=False):
        try:
            argument.encode()
        except UnicodeEncodeError:
            name, separator, _ = argument.partition("=")
            named = name if separator and name.startswith("-") else before
            option = visible(named) if named.startswith("-") else "an argument"
            shown = visible(argument.encode(errors="surrogateescape").decode(errors="replace"))
            print(f"error: {option}: {shown} is not UTF-8; give it in UTF-8", file=sys.stderr)
            sys.exit(ExitCode.USAGE)
