"""What Azure Table Storage takes: https://learn.microsoft.com/rest/api/storageservices."""

from __future__ import annotations

from jobfleet_contracts.backend import Limits

TRANSACTION_ROWS = 100
"""Rows of one entity group transaction."""

LIMITS = Limits(
    inline_bytes=30_000,  # a property holds 32,768 UTF-16 characters
    transaction_rows=TRANSACTION_ROWS,
)
