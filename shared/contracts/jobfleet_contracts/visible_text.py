"""Shows the characters of foreign texts that steer a terminal or that nobody sees."""

from __future__ import annotations

import re

UNSAFE = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and line feed, DEL, C1
    "\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\u115f\u1160\u3164\uffa0"  # letters without a shape
    "\ud800-\udfff"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"  # tags and what else is invisible
    "]"
)
"""Control and format characters of Unicode, line and paragraph separators, lone surrogates."""


def visible_lines(text: str) -> str:
    r"""Return the text with control and format characters shown (``\x1b``, ``\u202e``).

    Line breaks and tabs are kept.
    """
    return UNSAFE.sub(_shown, text)


def _shown(found: re.Match[str]) -> str:
    number = ord(found.group())
    if number < 0x100:  # noqa: PLR2004
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"  # noqa: PLR2004
