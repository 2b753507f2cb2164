"""Lists follow the trail within a second; what comes after one was opened is only told there."""

from __future__ import annotations

import time

from playwright.sync_api import Page


def open_until_listed(page: Page, address: str, rows: str, count: int = 1) -> None:
    """Open a page until so many elements that match ``rows`` stand on it."""
    until = time.monotonic() + 20
    while page.goto(address) and page.locator(rows).count() < count:
        assert time.monotonic() < until, f"not {count} of {rows} at {address}"
