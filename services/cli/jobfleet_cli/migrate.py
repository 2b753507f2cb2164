"""``jobfleet migrate``: tables of the backend for this release."""

from __future__ import annotations

import typer

from jobfleet_backends.open_backend import migrate_backend
from jobfleet_cli.session import storage_settings

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def migrate() -> None:
    """Make the tables of the PostgreSQL backend, or raise them to this release.

    Run it again after any failure, and before the first process of a new release. Processes of the
    release before go on meanwhile. The other backends make what they need by themselves.
    """
    passed = migrate_backend(storage_settings())
    for version in passed:
        print(f"raised to version {version}")
    if not passed:
        print("nothing to do")
