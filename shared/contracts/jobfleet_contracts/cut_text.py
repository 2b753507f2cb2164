"""Cuts long texts without cutting a credential in two: half of one would be known as none.

What is cut is masked first, so that a text that was cut never holds a credential.
"""

from __future__ import annotations

from bisect import bisect_right

from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.encoded_value import labelled_text

BESIDE = 16_384
"""Characters beyond a cut that are looked at: no credential is longer, and texts may be huge."""
LOOKED_AT = 1_000_000
"""Characters of a huge text that are copied at all, at its beginning and at its end."""


def cut_text(text: str, most: int) -> str:
    """Return a text as it is if it has at most ``most`` characters, else its masked beginning."""
    if len(text) <= most:
        return text
    near = labelled_text(text[:LOOKED_AT])
    return near if len(near) <= most and len(text) <= LOOKED_AT else beginning_of(near, most)


def ends_of(text: str, most: int) -> tuple[str, str]:
    """Return the masked beginning and end of a text, each of at most ``most`` characters."""
    if len(text) > LOOKED_AT:
        return beginning_of(text, most), _end(labelled_text(text[-LOOKED_AT:]), most)
    text = labelled_text(text)
    if len(text) <= most + BESIDE:
        shown = masked_text(text)
        return shown[:most], shown[max(most, len(shown) - most) :]
    return beginning_of(text, most), _end(text, most)


def beginning_of(text: str, most: int) -> str:
    """Return the masked beginning of a text, of at most ``most`` characters."""
    text = labelled_text(text[:LOOKED_AT])
    if len(text) <= most + BESIDE:
        return masked_text(text)[:most]
    longer = text[: most + BESIDE]
    shown = masked_text(longer)
    if shown == longer:
        return text[:most]
    # Both are cut. What is masked in the longer one only began before the cut of the shorter one.
    return _common(masked_text(text[:most]), shown)[:most]


def _end(text: str, most: int) -> str:
    longer = text[-most - BESIDE :]
    shown = masked_text(longer)
    if shown == longer:
        return text[-most:]
    return _common(masked_text(text[-most:])[::-1], shown[::-1])[:most][::-1]


def _common(one: str, other: str) -> str:
    """Return the characters with which both texts begin."""
    lengths = range(min(len(one), len(other)) + 1)
    return one[: bisect_right(lengths, False, key=lambda n: one[:n] != other[:n]) - 1]
