"""``jobfleet keys``: keys for the REST API, and the one that receivers of results check with."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from jobfleet_backends.settings import TARGET_PREFIX, load_settings
from jobfleet_cli.answer import print_json
from jobfleet_cli.exit_code import ExitCode
from jobfleet_dashboard.security.api_keys import new_key
from jobfleet_dashboard.security.principal import Role
from jobfleet_protocol.actions.signing_keys import delivery_secret, keys_of

app = typer.Typer(
    no_args_is_help=True,
    help="Make keys for the REST API; show the key that receivers of results need.",
    rich_markup_mode=None,
    add_completion=False,
)


@app.callback()
def _group() -> None:
    """Make keys for the REST API; show the key that receivers of results need."""


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
    key, entry = new_key(name, role)
    if as_json:
        print_json({"name": name, "role": role.value, "key": key, "entry": entry})
        return
    print(f"key:   {key}")
    print(f"entry: {entry}")
    typer.echo("Give the key to its owner; add the entry to JOBFLEET_API_KEYS.", err=True)


@app.command()
def callback(
    target: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The key of JOBFLEET_CALLBACK_SECRET_<NAME>."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the keys with which receivers check signed final results, one for each secret.

    A key is derived from JOBFLEET_CALLBACK_SECRETS and does not reveal it: its owner cannot sign
    a third party's result. The fleet signs with the first one.
    """
    settings = load_settings()
    secrets_set = [each.get_secret_value() for each in settings.callback_secrets]
    variable = "JOBFLEET_CALLBACK_SECRETS"
    if target is not None:
        variable = f"{TARGET_PREFIX}{target}"
        found = settings.callback_targets.get(target)
        secrets_set = [] if found is None else list(found.secrets)
    if not secrets_set:
        typer.echo(f"error: {variable} is not set: nothing is signed", err=True)
        raise typer.Exit(ExitCode.USAGE)
    keys = [delivery_secret(key) for key in keys_of(secrets_set)]
    if as_json:
        print_json({"keys": keys})
        return
    for key in keys:
        print(key)
