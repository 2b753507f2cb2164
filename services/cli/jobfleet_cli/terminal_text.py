"""Text of users and servers, made safe for a terminal."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def visible(text: str, *, lines: bool = False) -> str:
    """Return the text with control characters shown instead of obeyed.

    Args:
        lines: keep line breaks and tabs.
    """
    shown = _CONTROL.sub(lambda found: f"\\x{ord(found.group()):02x}", text)
    return shown if lines else shown.replace("\n", "\\n").replace("\t", " ")
