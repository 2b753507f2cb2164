"""``jobfleet config``: the effective settings."""

from __future__ import annotations

from typing import Annotated

import typer

from jobfleet_backends.settings import load_settings
from jobfleet_cli.answer import print_json
from jobfleet_cli.redaction import redacted_settings
from jobfleet_cli.terminal_text import visible

app = typer.Typer(
    no_args_is_help=True, help="Effective settings.", rich_markup_mode=None, add_completion=False
)


@app.callback()
def _group() -> None:
    """Effective settings."""


@app.command()
def show(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print every setting as NAME=value; flag, environment, .env, default. Secrets are redacted."""
    shown = redacted_settings(load_settings())
    if as_json:
        print_json(shown)
        return
    for name, value in shown.items():
        print(f"{name}={'' if value is None else visible(str(value))}")
