"""No cell of a CSV file begins as a formula, whatever signs a spreadsheet takes for ASCII ones."""

from __future__ import annotations

import csv
import io
import sys
import unicodedata

from jobfleet_contracts.visible_text import UNSAFE
from jobfleet_protocol.reading.csv_line import csv_line

SIGNS = [
    chr(number)
    for number in range(sys.maxunicode + 1)
    if unicodedata.normalize("NFKC", chr(number)) in ("=", "+", "-", "@")
] + ["\N{MINUS SIGN}"]


def _cells(text: str, separator: str) -> list[str]:
    """Return all cells that a spreadsheet with this separator finds."""
    line = csv_line(["job", text, "end"]).decode()
    rows = csv.reader(io.StringIO(line, newline=""), delimiter=separator)
    return [cell for row in rows for cell in row]


def test_no_sign_begins_a_cell_whatever_separates_cells_and_stands_before_it() -> None:
    assert {"=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20"} <= set(SIGNS)
    for sign in SIGNS:
        for before in ("", " ", "\t", "\r", "\n", "\ufeff", "\u200b", "\u3000", "\x01"):
            for lead in ("", "a;", "a\n", "a\r", "a\t", 'a";', "a,"):
                text = f"{lead}{before}{sign}SUM(1)"
                for separator in (",", ";", "\t"):
                    for cell in _cells(text, separator):
                        begin = cell.lstrip(" \t\r\n\ufeff\u200b\u3000\x01\"'")
                        quoted = cell[: len(cell) - len(begin)]
                        at_sign = begin.startswith(sign)
                        assert not at_sign or "'" in quoted, (text, separator, cell)


def test_no_cell_steers_a_terminal_and_lines_and_tabs_stay() -> None:
    text = "\x1b]0;PWN\x07\x1b[2J\x08\x00 a\r\nb\tc \x9b31m \u202e\ud800"
    [[cell]] = csv.reader(io.StringIO(csv_line([text]).decode(), newline=""))
    shown = r"\x1b]0;PWN\x07\x1b[2J\x08\x00 a\x0d" + "\nb\tc " + r"\x9b31m \u202e\ud800"
    assert cell == shown
    unsafe = [chr(number) for number in range(sys.maxunicode + 1) if UNSAFE.match(chr(number))]
    line = csv_line(unsafe).decode()
    assert UNSAFE.sub("", line) == line.removesuffix("\r\n") + "\n"


def test_other_texts_and_numbers_stay_as_they_are() -> None:
    values = ["a=b", "a - b", "import 7; done", "two\nlines", "東京", -5, 1.5, True, None]
    shown = ["a=b", "a - b", "import 7; done", "two\nlines", "東京", "-5", "1.5", "true", ""]
    [row] = csv.reader(io.StringIO(csv_line(values).decode(), newline=""))
    assert row == shown


def test_a_text_of_line_breaks_takes_no_time() -> None:
    assert csv_line(["\n" * 200_000]).count(b"\n") == 200_001
