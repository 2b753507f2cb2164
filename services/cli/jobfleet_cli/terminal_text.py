"""Text of users and servers, made safe for a terminal."""

from __future__ import annotations

import re

from jobfleet_contracts.visible_text import UNSAFE, visible_lines

INDENT = "    "


def visible(text: str) -> str:
    r"""Return the text on one line, control and format characters shown (``\x1b``, ``\u202e``)."""
    return visible_lines(text).replace("\n", "\\n").replace("\t", " ")


def indented(text: str) -> str:
    """Return the text with its line breaks, and each further line indented.

    A user's line at the left margin would look like one of the command's own.
    """
    return visible_lines(text).rstrip("\n").replace("\n", f"\n{INDENT}")


def visible_json(text: str) -> str:
    """Return JSON that means the same, with these characters as escapes of JSON."""
    return UNSAFE.sub(_json_escape, text)


def _json_escape(found: re.Match[str]) -> str:
    units = found.group().encode("utf-16-be", errors="surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
