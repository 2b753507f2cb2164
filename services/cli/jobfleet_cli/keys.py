"""``jobfleet keys``: keys for the REST API."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Annotated

import typer

from jobfleet_cli.answer import print_json
from jobfleet_dashboard.security.principal import Role

app = typer.Typer(
    no_args_is_help=True,
    help="Make keys for the REST API.",
    rich_markup_mode=None,
    add_completion=False,
)


@app.callback()
def _group() -> None:
    """Make keys for the REST API."""


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,50}", value):
        raise typer.BadParameter("1 to 50 of letters, digits, _ . and -")
    return value


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Whose key it is.", callback=_name)],
    role: Annotated[Role, typer.Argument(help="What it allows.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print a new key once, and its line for JOBFLEET_API_KEYS; the key itself is kept nowhere."""
    key = f"jf_{secrets.token_urlsafe(32)}"
    entry = f"{name}:{role.value}:{hashlib.sha256(key.encode()).hexdigest()}"
    if as_json:
        print_json({"name": name, "role": role.value, "key": key, "entry": entry})
        return
    print(f"key:   {key}")
    print(f"entry: {entry}")
    typer.echo("Give the key to its owner; add the entry to JOBFLEET_API_KEYS.", err=True)
