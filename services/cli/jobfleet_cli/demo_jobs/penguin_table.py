"""The SQLite table that the import fills and the report reads."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

_SCHEMA = """
CREATE TABLE IF NOT EXISTS penguin (
    line INTEGER PRIMARY KEY, species TEXT NOT NULL, island TEXT NOT NULL,
    flipper_mm REAL, mass_g REAL, year INTEGER NOT NULL
)
"""


class Penguin(NamedTuple):
    """One measured bird; keyed by its line in the file, so importing twice changes nothing."""

    line: int
    species: str
    island: str
    flipper_mm: float | None
    mass_g: float | None
    year: int


@contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, timeout=10)) as database, database:
        database.execute(_SCHEMA)
        yield database


def store(path: Path, birds: Sequence[Penguin], *, complete: bool) -> None:
    """Insert or replace birds, all or none; the file's user_version says if these are the last."""
    with _open(path) as database:
        database.executemany("INSERT OR REPLACE INTO penguin VALUES (?, ?, ?, ?, ?, ?)", birds)
        database.execute(f"PRAGMA user_version = {int(complete)}")


def measured(path: Path) -> list[Penguin]:
    """Return the birds whose flipper and mass are known; none while an import is under way."""
    with _open(path) as database:
        if database.execute("PRAGMA user_version").fetchone() == (0,):
            return []
        rows = database.execute(
            "SELECT * FROM penguin WHERE flipper_mm IS NOT NULL AND mass_g IS NOT NULL "
            "ORDER BY line"
        )
        return [Penguin(*row) for row in rows]


def count(path: Path) -> int:
    """Return how many birds stand in the table so far."""
    with _open(path) as database:
        found: tuple[int] = database.execute("SELECT count(*) FROM penguin").fetchone()
        return found[0]
