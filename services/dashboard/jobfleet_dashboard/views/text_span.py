"""Sentences with links and ticking times in them, as data that one macro shows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Tick = Literal["since", "ago", "in"]


@dataclass(frozen=True, slots=True)
class TextSpan:
    """A piece of a sentence.

    Attributes:
        text: what is shown; for a time, what is shown without scripts.
        href: where it leads.
        moment: a time that ticks in the browser: ``since`` (an elapsed span), ``ago`` or ``in``.
    """

    text: str
    href: str | None = None
    moment: datetime | None = None
    tick: Tick | None = None


Sentence = tuple[TextSpan, ...]


def plain(sentence: Iterable[TextSpan]) -> str:
    """Return the sentence as text."""
    return "".join(span.text for span in sentence)
