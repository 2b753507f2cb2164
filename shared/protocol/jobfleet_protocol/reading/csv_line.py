"""Lines of CSV (RFC 4180) that no spreadsheet takes for formulas, and no terminal for commands."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from typing import Any

from jobfleet_contracts.visible_text import visible_lines

_SIGNS = (
    "=+\\-@"
    "\uff1d\uff0b\uff0d\uff20"  # full-width
    "\ufe66\ufe62\ufe63\ufe6b"  # small
    "\u207c\u207a\u207b\u208c\u208a\u208b"  # superscript, subscript
    "\u2212\ufb29"  # the minus sign of mathematics, a Hebrew plus
)
"""Characters that begin a formula, or that normalise to one that does."""
_FORMULA = re.compile(f"[\t\n]|\\s*[{_SIGNS}]")
"""A spreadsheet may ignore spaces before the sign; other unseen characters are shown by then."""
_INNER_FORMULA = re.compile(f"([;\t\n])(?=\\s{{0,20}}[{_SIGNS}])")
"""Finds a formula behind a semicolon, tab or line break, which may separate cells.

Keep the bound: without it the search takes quadratic time on a run of line breaks.
"""


def csv_line(values: Iterable[Any]) -> bytes:
    """Return one line with its end; ``None`` is an empty cell."""
    line = io.StringIO()
    csv.writer(line).writerow(map(_cell, values))
    return line.getvalue().encode()


def _cell(value: Any) -> str:
    """Return a cell that no spreadsheet takes for a formula: submitters write these texts.

    Its control and format characters are shown: a download may be printed on a terminal.

    Source: https://owasp.org/www-community/attacks/CSV_Injection
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else str(value)
    text = _INNER_FORMULA.sub(r"\1'", visible_lines(value))
    return f"'{text}" if _FORMULA.match(text) else text
