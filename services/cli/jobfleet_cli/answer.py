"""What commands print on standard output."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, TextIO

import orjson

from jobfleet_cli.standard_streams import terminal_output
from jobfleet_cli.table import GAP, Column, fit
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


def print_table(columns: Sequence[str] | Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print rows: aligned on a terminal, separated by tabs without a heading in a pipe.

    Columns that are only names keep all text, in several lines if it is long; a
    :class:`~jobfleet_cli.table.Column` keeps each row on a line of the terminal.
    """
    if not sys.stdout.isatty():
        for row in rows:
            print("\t".join(visible(cell) for cell in row))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console(file=terminal_output())
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    shown = [[visible(cell) for cell in row] for row in rows]
    fits = all(isinstance(column, Column) for column in columns)
    if fits:
        fitted = fit([c for c in columns if isinstance(c, Column)], shown, console.width)
        for column, width in zip(fitted.columns, fitted.widths, strict=True):
            table.add_column(column.name, no_wrap=True, overflow="ellipsis", max_width=width)
        shown = [list(row) for row in fitted.rows]
    else:
        for name in columns:
            table.add_column(str(name))
    for row in shown:
        table.add_row(*(styled(cell, cut=fits) for cell in row))
    console.print(table)


def styled(cell: str, *, cut: bool = False) -> Any:
    """Return a cell for rich, states in their colour, markup never obeyed.

    Args:
        cut: a text that is too long ends with an ellipsis; else it goes on in the next line.
    """
    from rich.text import Text

    return Text(
        visible(cell), style=STATE_STYLES.get(cell, ""), overflow="ellipsis" if cut else "fold"
    )
