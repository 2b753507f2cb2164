"""JSON as people read it, cut where a browser would suffer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

MAX_CHARACTERS = 60_000
"""About 1,500 lines; what is longer is cut and the cut is named."""


@dataclass(frozen=True, slots=True)
class JsonText:
    """A value under its title, indented.

    Attributes:
        cut: how many characters are left out, 0 for none.
    """

    title: str
    text: str
    cut: int = 0

    @property
    def lines(self) -> int:
        """How many lines it has."""
        return self.text.count("\n") + 1


def json_text(title: str, value: Any) -> JsonText:
    """Return the value as indented JSON; a bare text stays as it is."""
    text = value if isinstance(value, str) else _indented(value)
    kept = text[:MAX_CHARACTERS]
    return JsonText(title, kept, len(text) - len(kept))


def _indented(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode()
