"""The shop's own database: one SQLite file, so that the example needs no server."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS articles (name TEXT PRIMARY KEY, price REAL NOT NULL);
CREATE TABLE IF NOT EXISTS orders (
    number INTEGER PRIMARY KEY, customer TEXT NOT NULL, total REAL NOT NULL, paid INTEGER NOT NULL,
    month TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS payments (key TEXT PRIMARY KEY, number INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS reports (month TEXT PRIMARY KEY, report TEXT NOT NULL);
"""
PRICES = {"pen": 1.5, "paper": 4.0, "ink": 7.25}


class Store:
    """One connection; what it changes stands once it is committed."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, timeout=10, check_same_thread=False)
        self._connection.executescript(SCHEMA)

    @classmethod
    def of_this_shop(cls) -> Store:
        """Open the database that SHOP_DATABASE names, else ``shop.db`` in the current folder."""
        return cls(Path(os.environ.get("SHOP_DATABASE", "shop.db")))

    def add_article(self, name: str, price: float) -> None:
        """Add an article, or change its price."""
        self._connection.execute("INSERT OR REPLACE INTO articles VALUES (?, ?)", (name, price))

    def price_of(self, article: str) -> float | None:
        """Return what an article costs; ``None``: the shop does not have it."""
        found = self._connection.execute("SELECT price FROM articles WHERE name = ?", (article,))
        row = found.fetchone()
        return PRICES.get(article) if row is None else float(row[0])

    def confirm(self, number: int, customer: str, total: float, month: str) -> None:
        """Store an order; the same one again changes nothing."""
        values = (number, customer, total, month)
        self._connection.execute("INSERT OR IGNORE INTO orders VALUES (?, ?, ?, 0, ?)", values)

    def has_order(self, number: int) -> bool:
        """Return whether an order is stored."""
        found = self._connection.execute("SELECT 1 FROM orders WHERE number = ?", (number,))
        return found.fetchone() is not None

    def pay(self, number: int, key: str) -> bool:
        """Note a payment; returns whether this key is new."""
        found = self._connection.execute(
            "INSERT OR IGNORE INTO payments VALUES (?, ?)", (key, number)
        )
        self._connection.execute("UPDATE orders SET paid = 1 WHERE number = ?", (number,))
        return found.rowcount == 1

    def totals(self) -> tuple[int, float]:
        """Return how many orders are paid, and what they came to."""
        found = self._connection.execute("SELECT count(*), sum(total) FROM orders WHERE paid")
        count, total = found.fetchone()
        return int(count), float(total or 0)

    def customers_of(self, month: str) -> list[str]:
        """Return who bought something in a month, each once, in order of their names."""
        found = self._connection.execute(
            "SELECT DISTINCT customer FROM orders WHERE month = ? ORDER BY customer", (month,)
        )
        return [str(customer) for (customer,) in found]

    def bought(self, customer: str, month: str) -> float:
        """Return what a customer bought in a month."""
        found = self._connection.execute(
            "SELECT sum(total) FROM orders WHERE customer = ? AND month = ?", (customer, month)
        )
        return float(found.fetchone()[0] or 0)

    def keep_report(self, month: str, report: str) -> None:
        """Store the report of a month, in place of an earlier one."""
        self._connection.execute("INSERT OR REPLACE INTO reports VALUES (?, ?)", (month, report))

    def report_of(self, month: str) -> str | None:
        """Return the report of a month; ``None``: there is none yet."""
        found = self._connection.execute("SELECT report FROM reports WHERE month = ?", (month,))
        row = found.fetchone()
        return None if row is None else str(row[0])

    def commit(self) -> None:
        """Make the changes stand."""
        self._connection.commit()

    def close(self) -> None:
        """Forget what was not committed."""
        self._connection.close()
