"""Tables fit the terminal; ids stay whole or short."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from jobfleet_cli.table import GAP, Column, Fitted, fit

COLUMNS = (
    Column("JOB", is_id=True),
    Column("STATE"),
    Column("TYPE", rank=2, cut=True),
    Column("NAME", cut=True),
    Column("UPDATED", rank=3),
    Column("MESSAGE", cut=True),
)
ID = "01a2193b-a636-7349-9b71-d57c3b5e3341"
ROW = (ID, "completed", "crm.sync", "import " * 20, "2026-03-01 12:00:00", "no answer " * 30)


def used(fitted: Fitted) -> int:
    return sum(fitted.widths) + GAP * (len(fitted.widths) - 1)


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160, 200, 400, 1_000])
def test_every_row_fits_its_line_and_no_id_is_broken(width: int) -> None:
    fitted = fit(COLUMNS, [ROW], width)
    assert used(fitted) <= width
    assert fitted.rows[0][0] in (ID, ID[-8:])
    assert cell_len(fitted.rows[0][0]) <= fitted.widths[0]
    names = [column.name for column in fitted.columns]
    assert {"JOB", "STATE", "NAME", "MESSAGE"} <= set(names)


def test_columns_are_left_out_by_rank_before_texts_vanish() -> None:
    wide, narrow = fit(COLUMNS, [ROW], 110), fit(COLUMNS, [ROW], 60)
    assert "UPDATED" in [column.name for column in wide.columns]
    assert "UPDATED" not in [column.name for column in narrow.columns]


def test_a_table_that_fits_is_left_as_it_is() -> None:
    short = (ID, "failed", "t", "n", "2026-03-01 12:00:00", "m")
    fitted = fit(COLUMNS, [short], 120)
    assert (fitted.columns, fitted.rows) == (COLUMNS, (short,))


def test_wide_characters_count_as_the_terminal_shows_them() -> None:
    fitted = fit((Column("NAME", cut=True), Column("N")), [("日本" * 40, "1")], 40)
    assert used(fitted) <= 40


def test_no_row_at_all_is_a_heading() -> None:
    assert fit(COLUMNS, [], 80).rows == ()
