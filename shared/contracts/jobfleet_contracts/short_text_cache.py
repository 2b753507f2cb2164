"""Keeps what a function returned for short texts. Long ones would fill the memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

T = TypeVar("T")

LONGEST_KEPT = 200
"""Characters. 8,192 texts of so many take at most 8 MB; of a megabyte each they take 32 GB."""


def keep_for_short_texts(most: int) -> Callable[[Callable[[str], T]], Callable[[str], T]]:
    """Decorate a function of one text so that its last ``most`` answers to short texts are kept.

    For a text of more than 200 characters the function runs each time.
    """

    def decorate(function: Callable[[str], T]) -> Callable[[str], T]:
        kept = lru_cache(maxsize=most)(function)

        @wraps(function)
        def answer(text: str) -> T:
            return kept(text) if len(text) <= LONGEST_KEPT else function(text)

        return answer

    return decorate
