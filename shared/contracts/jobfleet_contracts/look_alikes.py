"""Texts with signs that look like others, or like nothing: wide letters, zero-width signs.

A search looks at the plain form. What is shown keeps the signs of the text wherever nothing is
hidden.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from jobfleet_contracts.kept_parts import HIDDEN, kept_spans

_INVISIBLE = re.compile(
    # Control characters; soft hyphens, zero-width signs and marks of a direction; variation
    # selectors. And what a terminal takes for a colour, a font or a link: ESC with what follows it.
    # A link is printable ASCII only: the search of the text itself finds what a link holds.
    "[\\x00-\\x08\\x0e-\\x1f\\x7f-\\x84\\x86-\\x9f\\xad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f"
    "\\u200b-\\u200f\\u202a-\\u202e\\u2060-\\u206f\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff9-\\ufffb"
    "\\U000e0000-\\U000e0fff]"
    r"(?:(?:(?<=\x1b)\[|(?<=\x9b))[<>?]?[0-9;:]{0,40}[ -/]{0,4}[A-Za-z@`{|}~]"
    r"|(?:(?<=\x1b)[\]PX^_]|(?<=[\x90\x98\x9d-\x9f]))[ -~]{0,2000}+(?:\x07|\x1b\\|\x9c)"
    r"|(?<=\x1b)[ -/]{1,4}[0-~]|(?<=\x1b)[78>])?"
)
_BLOCKS = (
    (0x00A0, 0x00FF), (0x02B0, 0x02FF), (0x2000, 0x2BFF), (0x3000, 0x303F), (0xA780, 0xA78F),
    (0xFE10, 0xFE6F), (0xFF00, 0xFF60), (0x1D400, 0x1D7FF), (0x1F100, 0x1F18F),
)  # fmt: skip
"""Where the signs stand that Unicode calls forms of signs of ASCII, and those below."""
_ALSO = {
    '"': "\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033",
    "'": "\u2018\u2019\u201a\u201b\u2032",
    ":": "\u02d0\u02f8\u2236\ua789\u205d",
    "=": "\u2550\u2192\u21d2\u27f6\u27f9\u2794\u279c",
    "-": "\u2010\u2011\u2012\u2013\u2212",
}
"""Quotes, colons, arrows and dashes."""


@cache
def _plain_signs() -> dict[int, str]:
    """Return the sign of ASCII for each sign that looks like one."""
    found = {}
    for first, last in _BLOCKS:
        for code in range(first, last + 1):
            plain = unicodedata.normalize("NFKC", chr(code))
            if len(plain) == 1 and plain.isascii():
                found[code] = plain
    return found | {ord(sign): plain for plain, signs in _ALSO.items() for sign in signs}


@cache
def _looks_alike() -> frozenset[str]:
    return frozenset(map(chr, _plain_signs()))


def plain(text: str) -> str:
    """Return a text with plain signs in the place of others, and without invisible ones."""
    if text.isascii() and text.isprintable():
        return text
    return _INVISIBLE.sub("", text).translate(_plain_signs())


def is_disguised(text: str) -> bool:
    """Whether a text differs from its plain form."""
    if text.isascii():
        return not text.isprintable() and _INVISIBLE.search(text) is not None
    return not _looks_alike().isdisjoint(text) or _INVISIBLE.search(text) is not None


def with_own_signs(text: str, plain_shown: str) -> str:
    """Return what is shown of a text's plain form with the signs that the text itself has.

    Args:
        plain_shown: ``plain(text)``, with ``***`` in the place of what is hidden.
    """
    spans = kept_spans(plain(text), plain_shown)
    if spans is None:
        return plain_shown
    places = _places(text)
    places[:1] = [0]  # with invisible signs before the first one, and behind the last one
    places[-1:] = [len(text) - 1]
    return HIDDEN.join(
        text[places[start] : places[end - 1] + 1] if start < end else "" for start, end in spans
    )


def _places(text: str) -> list[int]:
    """Return where each sign of the plain form stands in the text."""
    places, at = list[int](), 0
    for found in _INVISIBLE.finditer(text):
        places += range(at, found.start())
        at = found.end()
    places += range(at, len(text))
    return places
