"""Cuts long texts without cutting a credential in two: half of one would be known as none.

What is cut is masked first, so that a text that was cut never holds a credential.
"""

from __future__ import annotations

from itertools import takewhile

from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.encoded_value import labelled_text

BESIDE = 16_384
"""Characters beyond a cut that are looked at: no credential is longer, and texts may be huge."""


def cut_text(text: str, most: int) -> str:
    """Return a text as it is if it has at most so many characters, else its masked beginning."""
    text = labelled_text(text) if len(text) > most else text
    return text if len(text) <= most else beginning_of(text, most)


def ends_of(text: str, most: int) -> tuple[str, str]:
    """Return the masked beginning and end of a text, each of at most so many characters."""
    text = labelled_text(text)
    if len(text) <= most + BESIDE:
        shown = masked_text(text)
        return shown[:most], shown[max(most, len(shown) - most) :]
    return beginning_of(text, most), _end(text, most)


def beginning_of(text: str, most: int) -> str:
    """Return the masked beginning of a text, of at most so many characters."""
    text = labelled_text(text)
    if len(text) <= most + BESIDE:
        return masked_text(text)[:most]
    # Both are cut. What is masked in the longer one only began before the cut of the shorter one.
    return _common(masked_text(text[:most]), masked_text(text[: most + BESIDE]))[:most]


def _end(text: str, most: int) -> str:
    parts = (masked_text(text[-most:]), masked_text(text[-most - BESIDE :]))
    return _common(*(part[::-1] for part in parts))[:most][::-1]


def _common(one: str, other: str) -> str:
    """Return the characters with which both texts begin."""
    same = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return "".join(first for first, _ in same)
