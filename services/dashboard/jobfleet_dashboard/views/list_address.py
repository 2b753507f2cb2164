"""The address of a list that is paged: it holds the filter, and the way back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlencode

_MAX_BACK = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ListAddress(ABC):
    """A filter of a list, and the page of it that is shown.

    Attributes:
        path: path of the list's first page without a filter.
        cursor: where this page begins; ``back`` holds the cursors of the pages before it.
    """

    path: ClassVar[str]
    cursor: str = ""
    back: tuple[str, ...] = ()

    @abstractmethod
    def pairs(self) -> list[tuple[str, str]]:
        """Return the query parameters of the filter alone, without a place in the list."""

    def url(self, path: str | None = None) -> str:
        """Return the address of the first page of this filter, in this list or another one."""
        pairs = self.pairs()
        return f"{path or self.path}?{urlencode(pairs)}" if pairs else path or self.path

    def older(self, cursor: str) -> str:
        """Return the address of the page after this one."""
        places = [("cursor", cursor), *(("back", c) for c in self.back), ("back", self.cursor)]
        return f"{self.path}?{urlencode(self.pairs() + places)}"

    def newer(self) -> str | None:
        """Return the address of the page before this one; ``None`` on the first."""
        if not self.cursor:
            return None
        *earlier, last = self.back or ("",)
        places = [("cursor", last)] if last else []
        return f"{self.path}?{urlencode(self.pairs() + places + [('back', c) for c in earlier])}"


def way_back(pairs: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Return the cursors of the pages before, as query parameters name them."""
    return tuple(value for name, value in pairs if name == "back")[-_MAX_BACK:]


def export_addresses(path: str, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the names and addresses of a list as files; ``path`` is without its ending."""
    query = f"?{urlencode(pairs)}" if pairs else ""
    return [
        (name, f"{path}.{end}{query}") for name, end in (("CSV", "csv"), ("JSON Lines", "jsonl"))
    ]
