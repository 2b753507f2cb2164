"""The ``jobfleet`` command."""

from __future__ import annotations

import errno
import os
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from jobfleet_cli.exit_code import ExitCode, exit_code_of
from jobfleet_cli.lazy_group import LazyGroup
from jobfleet_contracts.errors import JobfleetError

STDOUT = 1
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
    _open_standard_streams()
    try:
        try:
            typer.main.get_command(app).main(prog_name="jobfleet")
        finally:
            sys.stdout.flush()
    except JobfleetError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(exit_code_of(error))
    except OSError as error:
        if error.errno not in _NO_OUTPUT:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)  # or the interpreter tries again
        if error.errno == errno.EPIPE:
            sys.exit(ExitCode.NO)  # as typer does where it is told: `| head` has seen enough
        print(f"error: the output cannot be written: {error.strerror}", file=sys.stderr)
        sys.exit(ExitCode.USAGE)


def _open_standard_streams() -> None:
    """Where one is closed its number would go to the next file: libuv ends the process then."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))
