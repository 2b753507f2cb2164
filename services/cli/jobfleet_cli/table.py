"""Tables that fit the terminal: what matters least is left out, and ids stay whole or short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

GAP = 2
LEAST = 20
"""So narrow may a text become while another column can be left out; then down to ``_FLOOR``."""
_FLOOR = 6
_SHORT_ID = 8


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        rank: 0 stays always; the column with the highest rank is left out first.
        cut: its texts may be cut, with an ellipsis.
        is_id: shown by its last eight characters where the whole id has no room.
    """

    name: str
    rank: int = 0
    cut: bool = False
    is_id: bool = False


@dataclass(frozen=True, slots=True)
class Fitted:
    """What is left of a table for a terminal, and how wide each column is."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    widths: tuple[int, ...]


def fit(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> Fitted:
    """Return the table for a terminal of this width.

    Ids are shortened first, then columns left out by rank, then texts cut. A terminal that is too
    narrow even then gets what stays always.
    """
    places = list(range(len(columns)))
    table = [list(row) for row in rows]
    if _needed(columns, table, places) > width:
        for place in places:
            if columns[place].is_id:
                for row in table:
                    row[place] = row[place][-_SHORT_ID:]
    while _least(columns, table, places) > width:
        optional = [place for place in places if columns[place].rank]
        if not optional:
            break
        places.remove(max(optional, key=lambda place: columns[place].rank))
    widths = _widths(columns, table, places, width)
    return Fitted(
        tuple(columns[place] for place in places),
        tuple(tuple(row[place] for place in places) for row in table),
        tuple(widths),
    )


def _natural(columns: Sequence[Column], rows: Sequence[Sequence[str]], place: int) -> int:
    from rich.cells import cell_len

    return max([cell_len(columns[place].name), *(cell_len(row[place]) for row in rows)])


def _needed(columns: Sequence[Column], rows: Sequence[Sequence[str]], places: Sequence[int]) -> int:
    return _sum([_natural(columns, rows, place) for place in places])


def _least(columns: Sequence[Column], rows: Sequence[Sequence[str]], places: Sequence[int]) -> int:
    natural = {place: _natural(columns, rows, place) for place in places}
    return _sum([min(natural[p], LEAST) if columns[p].cut else natural[p] for p in places])


def _widths(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], places: Sequence[int], width: int
) -> list[int]:
    """Take from the widest text first until the table fits."""
    widths = [_natural(columns, rows, place) for place in places]
    cut = [number for number, place in enumerate(places) if columns[place].cut]
    while _sum(widths) > width and any(widths[number] > _FLOOR for number in cut):
        widest = max(cut, key=lambda number: widths[number])
        widths[widest] -= 1
    return widths


def _sum(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * max(0, len(widths) - 1)
