"""Cursors of lists: read in one place, so that every foreign one is the same refusal."""

from __future__ import annotations

import re

from jobfleet_contracts.errors import InvalidRequest

NUMBER = "[0-9]{1,18}"
"""A whole number; up to 18 digits fit every integer column and every row key."""
TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z"
JOB_ID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


class CursorForm:
    """What the cursors of one list look like: a pattern with a group for each part."""

    def __init__(self, pattern: str) -> None:
        self._pattern = re.compile(pattern, re.ASCII)

    def parts(self, cursor: str) -> tuple[str, ...]:
        """Return the parts of a cursor.

        Raises:
            InvalidRequest: this list returns no such cursor.
        """
        found = self._pattern.fullmatch(cursor)
        if found is None:
            raise foreign_cursor()
        return found.groups()


def foreign_cursor() -> InvalidRequest:
    """Return the refusal of a cursor that its list did not return."""
    return InvalidRequest("cursor: not one that this list returned", field="cursor")
