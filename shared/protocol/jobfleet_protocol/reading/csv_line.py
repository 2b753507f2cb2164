"""Lines of CSV (RFC 4180) that no spreadsheet takes for formulas."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_line(values: Iterable[Any]) -> bytes:
    """Return one line with its end; ``None`` is an empty cell."""
    line = io.StringIO()
    csv.writer(line).writerow(map(_cell, values))
    return line.getvalue().encode()


def _cell(value: Any) -> str:
    """Return a cell that no spreadsheet takes for a formula: submitters write these texts.

    Source: https://owasp.org/www-community/attacks/CSV_Injection
    """
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text
