"""What commands print on standard output."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, TextIO

import orjson

from jobfleet_cli.standard_streams import terminal_output
from jobfleet_cli.terminal_text import visible, visible_json

STATE_STYLES = {
    "running": "cyan",
    "completed": "green",
    "failed": "red",
    "timedOut": "red",
    "cancelled": "dim",
    "retrying": "yellow",
    "deferred": "yellow",
    "waiting": "magenta",
}


def print_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    print(json_text(value, sys.stdout), flush=True)


def json_text(value: Any, file: TextIO) -> str:
    """Return JSON for a stream: bytes are kept in a pipe, escaped on a terminal."""
    text = orjson.dumps(value).decode()
    return visible_json(text) if file.isatty() else text


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows: aligned on a terminal, separated by tabs without a heading in a pipe."""
    if not sys.stdout.isatty():
        for row in rows:
            print("\t".join(visible(cell) for cell in row))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(styled(cell) for cell in row))
    Console(file=terminal_output()).print(table)


def styled(cell: str) -> Any:
    """Return a cell for rich, states in their colour, markup never obeyed."""
    from rich.text import Text

    return Text(visible(cell), style=STATE_STYLES.get(cell, ""), overflow="fold")
