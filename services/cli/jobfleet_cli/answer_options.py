"""Options of commands that print records: their form, and which page of a list."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="Rows of one page.")]
Cursor = Annotated[str | None, typer.Option(help="Go on from this cursor of the page before.")]
